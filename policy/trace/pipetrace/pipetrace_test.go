package pipetrace

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"
	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/policy/internal/agenttest"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const mail = "From: david@example.com\r\nSubject: x\r\n\r\nbody\r\n"

var to = []string{"chris@example.net", "dana@example.net"}

// adds returns an agent that adds a field at these events.
func adds(name string, header, data bool) smtpserver.Agent {
	f := func(_ context.Context, _ *smtpserver.Session, m *smtpserver.Message) error {
		return m.Header.Append("X-By: " + name + "\r\n")
	}
	a := smtpserver.Agent{Name: name}
	if header {
		a.EndOfHeaders = f
	}
	if data {
		a.EndOfData = f
	}
	return a
}

// snapshots returns the files of the only folder, by name: Source and message.
func snapshots(t *testing.T, dir string) map[string][2]string {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join(dir, "MessageSnapshots", "*"))
	if err != nil || len(folders) != 1 {
		t.Fatalf("folders %v, %v", folders, err)
	}
	files, err := os.ReadDir(folders[0])
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][2]string{}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(folders[0], f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		head, message, ok := strings.Cut(string(b), "X-EndOfInjectedXHeaders: MessageSnapshot-End injected headers\r\n")
		source := regexp.MustCompile(`(?m)^X-MessageSnapshot-Source: (.*)\r$`).FindStringSubmatch(head)
		if !ok || source == nil {
			t.Fatalf("%s is\n%s", f.Name(), b)
		}
		got[f.Name()] = [2]string{source[1], message}
	}
	return got
}

func TestSnapshotsBeforeTheEventAndAfterEachAgent(t *testing.T) {
	tr := &Tracer{Dir: t.TempDir(), Sender: "David@example.com"}
	if err := tr.Validate(); err != nil {
		t.Fatal(err)
	}
	new := smtpserver.Agent{Name: "rewriting", EndOfData: func(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		m.From, m.Recipients = "other@example.com", m.Recipients[:1]
		return nil
	}}
	agents := tr.Wrap([]smtpserver.Agent{adds("Connection Filtering Agent", true, false), adds("both", true, true), {Name: "none"}, new})
	got := agenttest.Relay(t, "david@EXAMPLE.com", to, mail, agents...)
	by := func(names ...string) string {
		h := "From: david@example.com\r\nSubject: x\r\n"
		for _, n := range names {
			h += "X-By: " + n + "\r\n"
		}
		return h + "\r\n"
	}
	const c = "Connection Filtering Agent"
	if got.Data != by(c, "both", "both")+"body\r\n" {
		t.Errorf("the message left as\n%s", got.Data)
	}
	want := map[string][2]string{
		"Original.eml":        {"Original", mail},
		"SmtpReceive0001.eml": {"OnEndOfHeaders,Original", by()},
		"SmtpReceive0002.eml": {"OnEndOfHeaders," + c, by(c)},
		"SmtpReceive0003.eml": {"OnEndOfHeaders,both", by(c, "both")},
		"SmtpReceive0004.eml": {"OnEndOfData,Original", by(c, "both") + "body\r\n"},
		"SmtpReceive0005.eml": {"OnEndOfData,both", by(c, "both", "both") + "body\r\n"},
		"SmtpReceive0006.eml": {"OnEndOfData,rewriting", by(c, "both", "both") + "body\r\n"},
	}
	if files := snapshots(t, tr.Dir); !maps.Equal(files, want) {
		t.Errorf("snapshots\n%q\nwant\n%q", files, want)
	}
	if folder := filepath.Join(tr.Dir, "MessageSnapshots", got.ID); !exists(folder) {
		t.Errorf("no folder %s", folder)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// The format is byte for byte that of the documentation, except times and IDs.
func TestInjectedFields(t *testing.T) {
	tr := &Tracer{Dir: t.TempDir(), Sender: "david@example.com"}
	got := agenttest.Relay(t, "david@example.com", to, mail, tr.Wrap([]smtpserver.Agent{adds("Connection Filtering Agent", true, false)})...)
	path := filepath.Join(tr.Dir, "MessageSnapshots", got.ID, "SmtpReceive0002.eml")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const when = `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`
	session, _, _ := strings.Cut(got.ID, ".")
	want := `^X-CreatedBy: MessageSnapshot-Begin injected headers\r\n` +
		`X-MessageSnapshot-UTC-Time: ` + when + `\r\n` +
		`X-MessageSnapshot-Protocol-Id: ` + session + `;` + when + `;1\r\n` +
		`X-MessageSnapshot-Source: OnEndOfHeaders,Connection Filtering Agent\r\n` +
		`X-Sender: david@example\.com\r\n` +
		`X-Receiver: chris@example\.net\r\nX-Receiver: dana@example\.net\r\n` +
		`X-EndOfInjectedXHeaders: MessageSnapshot-End injected headers\r\n` +
		`From: david@example\.com\r\nSubject: x\r\nX-By: Connection Filtering Agent\r\n\r\n$`
	if !regexp.MustCompile(want).Match(b) {
		t.Errorf("the snapshot is\n%s\nwant\n%s", b, want)
	}
	for path, mode := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

func TestOnlyTheSenderIsTraced(t *testing.T) {
	for _, c := range []struct {
		sender, from string
		traced       bool
	}{
		{"david@example.com", "david@example.com", true},
		{"david@example.com", "mallory@example.com", false},
		{"david@example.com", "", false},
		{"<>", "", true},
		{"<>", "david@example.com", false},
	} {
		tr := &Tracer{Dir: t.TempDir(), Sender: c.sender}
		agenttest.Relay(t, c.from, to, mail, tr.Wrap(nil)...)
		if got := exists(filepath.Join(tr.Dir, "MessageSnapshots")); got != c.traced {
			t.Errorf("tracing %s, mail from <%s>: %v", c.sender, c.from, got)
		}
		if c.traced {
			if files := snapshots(t, tr.Dir); len(files) != 1 || files["Original.eml"][1] != mail {
				t.Errorf("without agents: %q", files)
			}
		}
	}
}

func TestVerdictsPassThrough(t *testing.T) {
	no := &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "no"}
	tr := &Tracer{Dir: t.TempDir(), Sender: "david@example.com"}
	refuse := smtpserver.Agent{Name: "refuse", EndOfHeaders: func(context.Context, *smtpserver.Session, *smtpserver.Message) error { return no }}
	agenttest.Refused(t, 550, "david@example.com", to, mail, tr.Wrap([]smtpserver.Agent{refuse})...)
	if files := snapshots(t, tr.Dir); len(files) != 3 {
		t.Errorf("snapshots %q", files)
	}
}

func TestHooksUseTheSameDirectory(t *testing.T) {
	tr := &Tracer{Dir: t.TempDir(), Sender: "david@example.com"}
	hooks := tr.WrapHooks([]queue.Hook{
		{Name: "one", Submitted: func(_ context.Context, m *queue.Message) error { m.Content = queue.String("changed"); return nil }},
		{Name: "two", Resolved: func(_ context.Context, m *queue.Message) error {
			m.Recipients = queue.Rcpt("x@example.net")
			return nil
		}},
	})
	got := agenttest.Relay(t, "david@example.com", to, mail, tr.Wrap(nil)...)
	m := &queue.Message{ID: got.ID, From: got.From, Recipients: queue.Rcpt(got.To...), Content: got.Message.Content()}
	for _, f := range []func(context.Context, *queue.Message) error{hooks[0].Submitted, hooks[1].Resolved} {
		if err := f(context.Background(), m); err != nil {
			t.Fatal(err)
		}
	}
	far := queue.NextHop{Connector: "far"}
	routed := tr.WrapRouted("three", func(_ context.Context, _ *queue.Message, _ *queue.Recipient, hop queue.NextHop) (queue.NextHop, error) {
		return far, nil
	})
	if hop, err := routed(t.Context(), m, m.Recipients[0], queue.NextHop{}); hop != far || err != nil {
		t.Errorf("routed to %v, %v", hop, err)
	}
	want := map[string][2]string{
		"Routing0005.eml": {"OnRoutedMessage,Original", "changed"},
		"Routing0006.eml": {"OnRoutedMessage,three", "changed"},
		"Original.eml":    {"Original", mail},
		"Routing0001.eml": {"OnSubmittedMessage,Original", mail},
		"Routing0002.eml": {"OnSubmittedMessage,one", "changed"},
		"Routing0003.eml": {"OnResolvedMessage,Original", "changed"},
		"Routing0004.eml": {"OnResolvedMessage,two", "changed"},
	}
	if files := snapshots(t, tr.Dir); !maps.Equal(files, want) {
		t.Errorf("snapshots\n%q\nwant\n%q", files, want)
	}
}

func TestCaps(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	tr := &Tracer{Dir: t.TempDir(), Sender: "david@example.com", MaxMessages: 2, Logger: logger}
	full := &Tracer{Dir: t.TempDir(), Sender: "david@example.com", MaxDir: 1000, Logger: logger}
	if err := os.WriteFile(filepath.Join(full.Dir, "there before"), make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	s := agenttest.Start(t, full.Wrap(tr.Wrap([]smtpserver.Agent{adds("a", true, true)}))...)
	c := s.Dial(t)
	for range 5 {
		if code, text := c.Send("david@example.com", to, mail); code != 250 {
			t.Fatal(code, text)
		}
	}
	if folders, err := filepath.Glob(filepath.Join(tr.Dir, "MessageSnapshots", "*")); err != nil || len(folders) != 2 {
		t.Errorf("%d folders, %v", len(folders), err)
	}
	if n, err := size(full.Dir); err != nil || n > 1000 || n < 500 {
		t.Errorf("%d bytes, %v", n, err)
	}
	for _, why := range []string{"MaxMessages", "MaxDir"} {
		if strings.Count(log.String(), why) != 1 {
			t.Errorf("the log does not have %s exactly once:\n%s", why, log.String())
		}
	}
}

func TestTracingEndsAfterItsTime(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		tr := &Tracer{Dir: dir, Sender: "david@example.com", Duration: time.Minute}
		hooks := tr.WrapHooks([]queue.Hook{{Name: "h", Submitted: func(context.Context, *queue.Message) error { return nil }}})
		for _, id := range []string{"1", "2", "3"} {
			m := &queue.Message{ID: id, From: "david@example.com", Content: queue.String(mail)}
			if err := hooks[0].Submitted(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			time.Sleep(40 * time.Second)
		}
	})
	entries, err := os.ReadDir(filepath.Join(dir, "MessageSnapshots"))
	if err != nil || len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
}

// An error of tracing does not stop mail.
func TestDirectoryCannotBeCreated(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tr := range []*Tracer{{Dir: file, Sender: "david@example.com"}, {}} {
		if got := agenttest.Relay(t, "david@example.com", to, mail, tr.Wrap(nil)...); got.Data != mail {
			t.Errorf("%s", got.Data)
		}
	}
}

func TestDirectoryNames(t *testing.T) {
	for id, want := range map[string]string{"a.1": "a.1", "..": "_..", "../../etc": ".._.._etc", "": "_", "a\x00b": "a_b", strings.Repeat("x", 500): strings.Repeat("x", 128)} {
		if got := name(id); got != want {
			t.Errorf("name(%q) = %q, want %q", id, got, want)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, tr := range []*Tracer{{}, {Dir: "d"}, {Dir: "d", Sender: "x"}, {Dir: "d", Sender: "<>", MaxDir: -1}} {
		if tr.Validate() == nil {
			t.Errorf("%+v passes", tr.Sender)
		}
	}
	if err := (&Tracer{Dir: "d", Sender: "<>"}).Validate(); err != nil {
		t.Error(err)
	}
}
