package pickup_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"
	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/pickup"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// runFolder runs a folder with these files for some seconds. It returns the
// messages that were submitted, and the files that are left by their names.
func runFolder(t *testing.T, f *pickup.Folder, seconds int, files map[string]string) (submitted []*queue.Message, left map[string]string) {
	f.Dir = t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(f.Dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	take := f.Submit
	f.Submit = func(ctx context.Context, m *queue.Message) error {
		if take != nil {
			if err := take(ctx, m); err != nil {
				return err
			}
		}
		submitted = append(submitted, m)
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	<-time.After(time.Duration(seconds)*time.Second - time.Millisecond)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	left = map[string]string{}
	entries, err := os.ReadDir(f.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(f.Dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		left[e.Name()] = string(b)
	}
	return submitted, left
}

func show(m *queue.Message) string {
	var to []string
	for _, r := range m.Recipients {
		to = append(to, r.Addr)
	}
	var b strings.Builder
	m.Content.WriteTo(&b)
	return fmt.Sprintf("%s -> %s\n%s", m.From, strings.Join(to, " "), b.String())
}

func TestPickup(t *testing.T) {
	for _, test := range []struct {
		name, file string
		want       string // the message, or
		bad        string // the reason why the file is bad
	}{
		{"plain, with LF line endings",
			"From: Alice <alice@example.com>\nTo: Bob <bob@example.net>,\n carol@example.org\nDate: x\nMessage-ID: <1@x>\nSubject: Hi\n\nHello\n",
			"alice@example.com -> bob@example.net carol@example.org\nFrom: Alice <alice@example.com>\r\nTo: Bob <bob@example.net>,\r\n carol@example.org\r\nDate: x\r\nMessage-ID: <1@x>\r\nSubject: Hi\r\n\r\nHello\r\n", ""},
		{"Bcc is removed, a repeated address gets one copy",
			"From: a@example.com\r\nDate: x\r\nMessage-ID: <1@x>\r\nTo: bob@example.net\r\nBcc: secret@example.net,\r\n bob@EXAMPLE.net\r\n\r\nHello",
			"a@example.com -> bob@example.net secret@example.net\nFrom: a@example.com\r\nDate: x\r\nMessage-ID: <1@x>\r\nTo: bob@example.net\r\n\r\nHello\r\n", ""},
		{"a quoted local part",
			"From: a@example.com\nDate: x\nMessage-ID: <1@x>\nTo: \"odd one\"@example.org\n\n",
			"a@example.com -> \"odd one\"@example.org\nFrom: a@example.com\r\nDate: x\r\nMessage-ID: <1@x>\r\nTo: \"odd one\"@example.org\r\n\r\n", ""},
		{"Sender before From",
			"From: a@example.com, b@example.com\r\nSender: s@example.com\r\nDate: x\r\nMessage-ID: <1@x>\r\nCc: bob@example.net\r\n\r\n",
			"s@example.com -> bob@example.net\nFrom: a@example.com, b@example.com\r\nSender: s@example.com\r\nDate: x\r\nMessage-ID: <1@x>\r\nCc: bob@example.net\r\n\r\n", ""},
		{"no sender", "To: bob@example.net\n\nHello\n", "", "no Sender or From field"},
		{"two authors", "From: a@example.com, b@example.com\nTo: bob@example.net\n\n", "", "2 addresses in from"},
		{"no recipient", "From: a@example.com\n\nHello\n", "", "no recipient"},
		{"not an address", "From: a@example.com\nTo: bob\n\n", "", "to: "},
		{"no header", "Hello there\n\n", "", "no Sender or From field"},
		{"no blank line after the header", "From: a@example.com\nTo: b@example.net\nDate: x\nMessage-ID: <1@x>\nno field\nFrom: ceo@example.com\n\nHello\n",
			"a@example.com -> b@example.net\nFrom: a@example.com\r\nTo: b@example.net\r\nDate: x\r\nMessage-ID: <1@x>\r\n\r\nno field\r\nFrom: ceo@example.com\r\n\r\nHello\r\n", ""},
		{"an mbox line", "From a@example.com Sat Nov 28 11:00:00 2026\nFrom: a@example.com\nTo: b@example.net\nDate: x\nMessage-ID: <1@x>\n\nHello\n",
			"a@example.com -> b@example.net\nX-Mailbox-Line: From a@example.com Sat Nov 28 11:00:00 2026\r\nFrom: a@example.com\r\nTo: b@example.net\r\nDate: x\r\nMessage-ID: <1@x>\r\n\r\nHello\r\n", ""},
		{"comments and obsolete syntax", "From : a (c) @ example . com\nTo: \"Group\" (c):b@(c)example.net,<@x.example:c@example.net>;\nDate: x\nMessage-ID: <1@x>\n\n",
			"a@example.com -> b@example.net c@example.net\nFrom : a (c) @ example . com\r\nTo: \"Group\" (c):b@(c)example.net,<@x.example:c@example.net>;\r\nDate: x\r\nMessage-ID: <1@x>\r\n\r\n", ""},
		{"recipients after a line that is not a field", "From: a@example.com\nTo: b@example.net\nno field\nBcc: secret@example.net\n\nHello\n", "", "recipient fields follow it"},
		{"recipients in a field with a folded name", "From: a@example.com\nTo: b@example.net\nBcc\n : secret@example.net\n\nHello\n", "", "recipient fields follow it"},
		{"a name without an address", "From: a@example.com\nTo: b@example.net, Bob\n\n", "", `to: "Bob": no address`},
		{"an address in a name", "From: a@example.com\nTo: b@example.net <c@example.net>\n\n", "", "to: "},
		{"an empty file", "", "", "no Sender or From field"},
		{"header too long", "From: a@example.com\nX: " + strings.Repeat("x", 70<<10) + "\nTo: b@example.net\n\n", "", "the limit is 65536"},
		{"too many recipients", "From: a@example.com\nTo: " + strings.TrimSuffix(many(101), ",") + "\n\n", "", "101 recipients, the limit is 100"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got, left := runFolder(t, &pickup.Folder{}, 5, map[string]string{"a.eml": test.file, "notes.txt": "x"})
				delete(left, "notes.txt")
				if test.bad != "" {
					if len(got) != 0 || !strings.Contains(left["a.bad.txt"], test.bad) || left["a.bad"] != test.file {
						t.Errorf("%d submitted, left %.200q; want bad: %s", len(got), left, test.bad)
					}
					return
				}
				if len(got) != 1 || len(left) != 0 {
					t.Fatalf("%d submitted, left %q", len(got), left)
				}
				if s := show(got[0]); s != test.want {
					t.Errorf("%q\nwant %q", s, test.want)
				}
			})
		})
	}
}

// many returns a list of n addresses.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "u%d@example.net,", i)
	}
	return b.String()
}

func TestDateAndMessageIDAreAdded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, _ := runFolder(t, &pickup.Folder{Hostname: "relay.example.com"}, 5, map[string]string{"a.eml": "From: a@example.com\nTo: b@example.net\n\nGrüße\n"})
		s := show(got[0])
		if !strings.Contains(s, "\r\nDate: Sat, 01 Jan 2000") || !strings.Contains(s, "@relay.example.com>\r\n\r\nGrüße") || got[0].Options.Body != smtp.Body8BitMIME {
			t.Errorf("%s %v", s, got[0].Options)
		}
	})
}

// After a temporary error a message is tried again. After a permanent error its
// file is bad. A file that a dead process was submitting is submitted again.
func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const file = "From: a@example.com\nTo: b@example.net\n\n"
		tries := 0
		f := &pickup.Folder{Submit: func(ctx context.Context, m *queue.Message) error {
			if m.From == "never@example.com" {
				return fmt.Errorf("refused: %w", &smtp.SMTPError{Code: 550, Message: "no"})
			}
			if tries++; tries < 3 {
				return &smtp.SMTPError{Code: 452, Message: "full"}
			}
			return nil
		}}
		got, left := runFolder(t, f, 12, map[string]string{"a.tmp": file, "b.eml": strings.Replace(file, "a@", "never@", 1)})
		if len(got) != 1 || tries != 3 || left["b.bad.txt"] != "refused: SMTP error 550: no\n" || len(left) != 2 {
			t.Errorf("%d submitted after %d tries, left %q", len(got), tries, left)
		}
	})
}

// A replay folder submits a message that was exported.
func TestReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &queue.Message{
			ID: "m1", From: "alice@example.com",
			Options: queue.MessageOptions{
				MailOptions: smtp.MailOptions{Body: smtp.Body8BitMIME, Return: smtp.DSNReturnFull, EnvelopeID: "a+b=c"},
				Priority:    3,
				Labels:      map[string]string{"tenant": "acme", "campaign": " Grüße; \"1\""},
			},
			Recipients: queue.Rcpt("bob@example.net", `"odd one"@example.org`, "done@example.net"),
			Content:    queue.String("Subject: x\r\n\r\nGrüße\r\n"),
			Origin: queue.Origin{Connector: "default", ClientAddr: "192.0.2.1", ClientHelo: "pc.example.com",
				Identity: `EXAMPLE\alice`, Protocol: "ESMTPSA", ServerAddr: "192.0.2.25", Internal: true},
		}
		m.Recipients[0].Options.RcptOptions = smtp.RcptOptions{
			Notify:                []smtp.DSNNotify{smtp.DSNNotifySuccess, smtp.DSNNotifyFailure},
			OriginalRecipientType: smtp.DSNAddressTypeRFC822, OriginalRecipient: "robert+x@example.net",
		}
		m.Recipients[2].Status = queue.Delivered
		var file strings.Builder
		if err := queue.Export(&file, m); err != nil {
			t.Fatal(err)
		}
		const want = "X-Sender: <alice@example.com> BODY=8BITMIME RET=FULL ENVID=a+2Bb+3Dc MT-PRIORITY=3\r\n" +
			"X-Receiver: <bob@example.net> NOTIFY=SUCCESS,FAILURE ORCPT=RFC822;robert+2Bx@example.net\r\n" +
			"X-Receiver: <\"odd one\"@example.org>\r\nX-CreatedBy: Bridgehead\r\nX-HeloDomain: pc.example.com\r\n" +
			"X-Source: default\r\nX-SourceIPAddress: 192.0.2.1\r\n" +
			"X-Bridgehead-ServerIPAddress: 192.0.2.25\r\nX-Bridgehead-Identity: \"EXAMPLE\\\\alice\"\r\nX-Bridgehead-Internal: true\r\n" +
			"X-Bridgehead-Label: campaign=\" Gr\\u00fc\\u00dfe; \\\"1\\\"\"\r\nX-Bridgehead-Label: tenant=\"acme\"\r\nX-EndOfInjectedXHeaders: m1\r\nSubject: x\r\n\r\nGrüße\r\n"
		if file.String() != want {
			t.Errorf("exported:\n%s\nwant\n%s", file.String(), want)
		}
		got, left := runFolder(t, &pickup.Folder{Replay: true}, 5, map[string]string{
			"a.eml": file.String(),
			"b.eml": "X-Sender: <a@example.com>\nSubject: x\n\n",
			"c.eml": "X-Sender: <a@example.com>\nX-Receiver: <b@example.net> NOTIFY=PERHAPS\nX-EndOfInjectedXHeaders: 1\n\n",
			"d.eml": "X-Receiver: <b@example.net>\nX-EndOfInjectedXHeaders: 1\n\n",
			"e.eml": "X-Sender: <a@example.com>\nX-Receiver: <b@example.net>\nX-Bridgehead-Label: a=b\nX-EndOfInjectedXHeaders: 1\n\n",
			"g.eml": "X-Sender: <a@example.com>\nX-Bridgehead-Internal: maybe\n",
			"h.eml": "X-Sender: <a@example.com>\nX-Bridgehead-Identity: alice\n",
			"f.eml": "X-Sender: <a@example.com>\nX-Receiver: <b@example.net>\nX-Bridgehead-Label: a b=\"c\"\nX-EndOfInjectedXHeaders: 1\n\n",
		})
		if len(got) != 1 {
			t.Fatalf("%d submitted, left %q", len(got), left)
		}
		g := got[0]
		if show(g) != "alice@example.com -> bob@example.net \"odd one\"@example.org\nSubject: x\r\n\r\nGrüße\r\n" ||
			!reflect.DeepEqual(g.Options, m.Options) || !slices.Equal(g.Recipients[0].Options.Notify, m.Recipients[0].Options.Notify) ||
			g.Recipients[0].Options.OriginalRecipient != "robert+x@example.net" {
			t.Errorf("%s\n%+v", show(g), g)
		}
		origin := m.Origin
		origin.Connector, origin.Protocol = "replay", ""
		if g.Origin != origin {
			t.Errorf("%+v, want %+v", g.Origin, origin)
		}
		for name, why := range map[string]string{"b.bad.txt": "line 2: not an X- field", "c.bad.txt": "line 2: NOTIFY=PERHAPS", "d.bad.txt": "line 2: no X-Sender",
			"e.bad.txt": "line 3: X-Bridgehead-Label is not of the form", "f.bad.txt": `line 3: label "a b": the key contains byte ' '`,
			"g.bad.txt": "line 2: X-Bridgehead-Internal is not true", "h.bad.txt": "line 2: X-Bridgehead-Identity is not in quotes"} {
			if !strings.Contains(left[name], why) {
				t.Errorf("%s: %q, want %q", name, left[name], why)
			}
		}
	})
}

// Any file is either a message with an envelope and CRLF line endings, or a bad
// file.
func FuzzPickup(f *testing.F) {
	f.Add([]byte("From: a@example.com\nTo: b@example.net\nBcc: c@example.net\n\nHello\n"))
	f.Add([]byte("From: a@example.com\r\nTo: x: b@example.net;\r\n\r\n\rHello"))
	f.Fuzz(func(t *testing.T, b []byte) {
		synctest.Test(t, func(t *testing.T) {
			got, left := runFolder(t, &pickup.Folder{}, 5, map[string]string{"a.eml": string(b)})
			if len(got) == 0 {
				if left["a.bad.txt"] == "" {
					t.Errorf("neither submitted nor bad: %q", left)
				}
				return
			}
			s := show(got[0])
			text := s[strings.Index(s, "\n")+1:]
			if rest := strings.ReplaceAll(text, "\r\n", ""); len(got[0].Recipients) == 0 || strings.ContainsAny(rest, "\r\n") {
				t.Errorf("%q", s)
			}
		})
	})
}

func FuzzImport(f *testing.F) {
	f.Add("X-Sender: <a@example.com> BODY=7BIT\r\nX-Receiver: <b@example.net> NOTIFY=NEVER ORCPT=utf-8;a\r\nX-EndOfInjectedXHeaders: 1\r\nSubject: x\r\n\r\n")
	f.Add("X-Sender: <>\r\nX-Receiver: <\"a b\"@example.net>\r\nX-EndOfInjectedXHeaders:\r\n")
	f.Add("X-Sender: <>\r\nX-Bridgehead-Identity: \"a\\n\\xff\"\r\nX-Bridgehead-Internal: true\r\nX-Receiver: <b@example.net>\r\nX-EndOfInjectedXHeaders:\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		m, err := queue.Import(queue.String(s))
		if err != nil {
			return
		}
		var b strings.Builder
		if err := queue.Export(&b, m); err != nil {
			t.Fatal(err)
		}
		again, err := queue.Import(queue.String(b.String()))
		if err != nil || show(again) != show(m) {
			t.Fatalf("%v\n%q\nbecame\n%q", err, s, b.String())
		}
		if again.Origin.Identity != m.Origin.Identity || again.Origin.Internal != m.Origin.Internal {
			t.Errorf("%+v became %+v", m.Origin, again.Origin)
		}
	})
}

// A program may always use the same file name, and leave its next message before
// the last one is submitted. One file does not replace another.
func TestSameName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := func(s string) string {
			return "From: a@example.com\r\nTo: b@example.net\r\nSubject: " + s + "\r\n\r\nx\r\n"
		}
		f := new(pickup.Folder)
		leave := func(name, text string) {
			name = filepath.Join(f.Dir, name)
			if err := errors.Join(os.WriteFile(name, []byte(text), 0o600), os.Rename(name, name+".eml")); err != nil {
				t.Error(err)
			}
		}
		tries := 0
		f.Submit = func(ctx context.Context, m *queue.Message) error {
			switch tries++; tries {
			case 1: // the next file appears while this one is being submitted
				leave("job", text("second"))
				return errors.New("no room")
			case 3: // a bad file, after both are submitted
				leave("job", "bad\r\n")
			}
			return nil
		}
		submitted, left := runFolder(t, f, 60, map[string]string{"job.eml": text("first"), "job.bad": "an old file"})
		var subjects []string
		for _, m := range submitted {
			var b strings.Builder
			m.Content.WriteTo(&b)
			_, s, _ := strings.Cut(b.String(), "Subject: ")
			s, _, _ = strings.Cut(s, "\r\n")
			subjects = append(subjects, s)
		}
		slices.Sort(subjects)
		if !slices.Equal(subjects, []string{"first", "second"}) {
			t.Errorf("submitted %q", subjects)
		}
		for name, want := range map[string]string{"job.bad": "an old file", "job-1.bad": "bad\r\n"} {
			if left[name] != want {
				t.Errorf("%s has %q, want %q", name, left[name], want)
			}
		}
		for name := range left {
			if strings.HasSuffix(name, ".eml") || strings.HasSuffix(name, ".tmp") {
				t.Errorf("%s is left", name)
			}
		}
	})
}
