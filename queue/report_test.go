package queue_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/dsn"
)

// actions returns the contents of the reports among calls, in the order of the
// calls: "address action status".
func actions(t *testing.T, calls []call) (all []string) {
	t.Helper()
	for _, c := range calls {
		r, err := dsn.Parse(strings.NewReader(c.text))
		if errors.Is(err, dsn.ErrNotReport) {
			continue
		}
		if err != nil {
			t.Errorf("%v:\n%s", err, c.text)
			continue
		}
		for _, rc := range r.Recipients {
			all = append(all, fmt.Sprintf("%s %s %d.%d.%d", rc.Final, rc.Action, rc.Status[0], rc.Status[1], rc.Status[2]))
		}
	}
	slices.Sort(all)
	return all
}

// Reports contain the status codes of Exchange unchanged, and each code has an
// explanation for the reader.
func TestCodes(t *testing.T) {
	for _, test := range []struct {
		name string
		code smtp.EnhancedCode
		want string // in the part for people
	}{
		{"generic", smtp.EnhancedCode{5, 0, 0}, "refused permanently"},
		{"general address failure", smtp.EnhancedCode{5, 1, 0}, "The address was not accepted"},
		{"unknown address", smtp.EnhancedCode{5, 1, 1}, "The address does not exist"},
		{"bad syntax", smtp.EnhancedCode{5, 1, 3}, "not written correctly"},
		{"ambiguous address", smtp.EnhancedCode{5, 1, 4}, "more than one recipient"},
		{"null MX", smtp.EnhancedCode{5, 1, 10}, "does not accept mail"},
		{"mailbox disabled", smtp.EnhancedCode{5, 2, 1}, "disabled"},
		{"mailbox full", smtp.EnhancedCode{5, 2, 2}, "mailbox is full"},
		{"too large for the recipient", smtp.EnhancedCode{5, 2, 3}, "too large"},
		{"feature not supported", smtp.EnhancedCode{5, 3, 3}, "does not support"},
		{"loops to itself", smtp.EnhancedCode{5, 3, 5}, "back to itself"},
		{"host not found", smtp.EnhancedCode{5, 4, 0}, "could not be reached"},
		{"no route", smtp.EnhancedCode{5, 4, 4}, "does not know how to reach"},
		{"forward loop", smtp.EnhancedCode{5, 4, 6}, "mail loop"},
		{"looping condition", smtp.EnhancedCode{5, 4, 8}, "that it had already passed"},
		{"out of sequence", smtp.EnhancedCode{5, 5, 2}, "did not understand each other"},
		{"too many recipients", smtp.EnhancedCode{5, 5, 3}, "more recipients than"},
		{"denied", smtp.EnhancedCode{5, 7, 1}, "does not permit"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
					if hop.Destination == "example.net" {
						return says(550, test.code, "in its own words")
					}
					return ok
				}
				w.run()
				defer w.shutdown()
				synctest.Wait()
				w.submit("alice@example.com", "bob@example.net")
				c := w.took()
				want := fmt.Sprintf("bob@example.net failed %d.%d.%d", test.code[0], test.code[1], test.code[2])
				if got := actions(t, c); len(got) != 1 || got[0] != want {
					t.Errorf("%q, want %q", got, want)
				}
				if text := c[1].text; !strings.Contains(text, test.want) || !strings.Contains(text, "in its own words") {
					t.Errorf("the report does not have the text %q:\n%s", test.want, text)
				}
			})
		})
	}
}

// While a host does not answer or drops connections, the delay notice has the
// code 4.4.1 or 4.4.2. The failure report has 4.4.7.
func TestTemporaryCodes(t *testing.T) {
	for _, test := range []struct {
		r    queue.Result
		want []string
	}{
		{refused, []string{"bob@example.net delayed 4.4.1", "bob@example.net failed 4.4.7"}},
		{queue.Result{Outcome: queue.Deferred, Reply: smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 4, 2}, Message: "connection dropped"}},
			[]string{"bob@example.net delayed 4.4.2", "bob@example.net failed 4.4.7"}},
		{says(452, smtp.EnhancedCode{4, 3, 1}, "disk full"), []string{"bob@example.net delayed 4.3.1", "bob@example.net failed 4.4.7"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, nil)
			w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
				if hop.Destination == "example.net" {
					return test.r
				}
				return ok
			}
			w.run()
			defer w.shutdown()
			synctest.Wait()
			w.submit("alice@example.com", "bob@example.net")
			w.after(49 * time.Hour)
			if got := actions(t, w.took()); !slices.Equal(got, test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// NOTIFY (RFC 3461, 4.1) decides which reports are sent.
func TestNotify(t *testing.T) {
	const success, failure, delay, never = smtp.DSNNotifySuccess, smtp.DSNNotifyFailure, smtp.DSNNotifyDelayed, smtp.DSNNotifyNever
	for _, test := range []struct {
		notify []smtp.DSNNotify
		want   string // of: ok@ through a host without DSN, dsn@ through one with it, box@ by LMTP, bad@ refused, slow@ deferred until it expires
	}{
		{nil, "bad failed, slow delayed, slow failed"},
		{[]smtp.DSNNotify{never}, ""},
		{[]smtp.DSNNotify{failure}, "bad failed, slow failed"},
		{[]smtp.DSNNotify{delay}, "slow delayed"},
		{[]smtp.DSNNotify{success}, "box delivered, ok relayed"},
		{[]smtp.DSNNotify{success, failure, delay}, "bad failed, box delivered, ok relayed, slow delayed, slow failed"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, nil)
			w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
				local, _, _ := strings.Cut(r.Addr, "@")
				res := ok
				switch local {
				case "dsn":
					res.DSN = true
				case "box":
					res.Final = true
				case "bad":
					return says(550, smtp.EnhancedCode{5, 1, 1}, "no")
				case "slow":
					return says(450, smtp.EnhancedCode{4, 2, 0}, "no")
				}
				return res
			}
			w.run()
			defer w.shutdown()
			synctest.Wait()
			m := message("alice@example.com", "ok@example.net", "dsn@example.net", "box@example.net", "bad@example.net", "slow@example.net")
			for _, r := range m.Recipients {
				r.Options.Notify = test.notify
			}
			if err := w.q.Submit(context.Background(), m); err != nil {
				t.Fatal(err)
			}
			w.after(49 * time.Hour)
			var got []string
			for _, s := range actions(t, w.took()) {
				local, rest, _ := strings.Cut(s, "@example.net ")
				action, _, _ := strings.Cut(rest, " ")
				got = append(got, local+" "+action)
			}
			if s := strings.Join(got, ", "); s != test.want || w.stored() != 0 {
				t.Errorf("NOTIFY=%v: %s\nwant %s; %d stored", test.notify, s, test.want, w.stored())
			}
		})
	}
}

// A report contains RET, ENVID and ORCPT. The operator's addresses get copies
// of failure reports.
func TestReportOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(q *queue.Queue) {
			q.Reports = queue.Reports{CopyTo: []string{"postmaster@example.com"}, From: "mailer@example.com"}
		})
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			if hop.Destination == "example.net" {
				return says(550, smtp.EnhancedCode{5, 1, 1}, "no")
			}
			return ok
		}
		w.run()
		defer w.shutdown()
		synctest.Wait()
		m := message("alice@example.com", "bob@example.net")
		m.Options.Return, m.Options.EnvelopeID = smtp.DSNReturnHeaders, "QQ314159"
		m.Recipients[0].Options.OriginalRecipient = "robert@example.net"
		if err := w.q.Submit(context.Background(), m); err != nil {
			t.Fatal(err)
		}
		c := w.took()
		if len(c) != 2 || strings.Join(c[1].rcpts, " ") != "alice@example.com postmaster@example.com" {
			t.Fatalf("%v", c)
		}
		for _, s := range []string{"Original-Envelope-Id: QQ314159", "Original-Recipient: rfc822; robert@example.net", "text/rfc822-headers", "<mailer@example.com>"} {
			if !strings.Contains(c[1].text, s) {
				t.Errorf("lacks %q:\n%s", s, c[1].text)
			}
		}
		if strings.Contains(c[1].text, "Hello there") {
			t.Error("RET=HDRS, and yet the body is returned")
		}
	})
}

func TestHooksAndExpansion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lists := map[string][]string{
			"team@example.com":  {"bob@example.net", "carol@example.net", "team@example.com"},
			"boss@example.com":  {"dave@example.net"},
			"loop1@example.com": {"loop2@example.com"},
			"loop2@example.com": {"loop1@example.com"},
		}
		var order []string
		w := newWorld(t, func(q *queue.Queue) {
			q.Hooks = []queue.Hook{{
				Name: "lists",
				Submitted: func(ctx context.Context, m *queue.Message) error {
					order = append(order, fmt.Sprint("submitted ", m.System))
					if m.From == "mallory@example.com" {
						return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "not you"}
					}
					return nil
				},
				Resolved: func(ctx context.Context, m *queue.Message) error {
					order = append(order, "resolved")
					for i := 0; i < len(m.Recipients); i++ { // the members of a list may be lists
						r := m.Recipients[i]
						if members := lists[r.Addr]; members != nil {
							if err := m.Expand(r, members...); err != nil {
								return err
							}
						}
					}
					return nil
				},
			}}
		})
		w.run()
		defer w.shutdown()
		synctest.Wait()
		m := message("alice@example.com", "team@example.com", "boss@example.com", "bob@example.net")
		for _, r := range m.Recipients {
			r.Options.Notify = []smtp.DSNNotify{smtp.DSNNotifySuccess}
		}
		if err := w.q.Submit(context.Background(), m); err != nil {
			t.Fatal(err)
		}
		c := w.took()
		if got := strings.Join(c[0].rcpts, " "); got != "bob@example.net carol@example.net dave@example.net" {
			t.Errorf("delivered to %s", got)
		}
		if got := actions(t, c); !slices.Equal(got, []string{"bob@example.net relayed 2.0.0", "dave@example.net relayed 2.0.0", "team@example.com expanded 2.0.0"}) {
			t.Errorf("%q", got)
		}
		if order[0] != "submitted false" || order[1] != "resolved" || !slices.Contains(order, "submitted true") {
			t.Errorf("%q", order)
		}
		for from, to := range map[string]string{"mallory@example.com": "bob@example.net", "alice@example.com": "loop1@example.com"} {
			err := w.q.Submit(context.Background(), message(from, to))
			var se *smtp.SMTPError
			want := map[string]smtp.EnhancedCode{"mallory@example.com": {5, 7, 1}, "alice@example.com": {5, 4, 6}}[from]
			if !errors.As(err, &se) || se.EnhancedCode != want {
				t.Errorf("from %s to %s: %v, want %v", from, to, err, want)
			}
		}
	})
}

// Bad mail is written to files in a format that can be replayed.
func TestBadMailDir(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "made", "when", "needed")
		w := newWorld(t, func(q *queue.Queue) { q.BadMail = queue.BadMailDir(dir) })
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			return says(550, smtp.EnhancedCode{5, 1, 1}, "no")
		}
		w.run()
		defer w.shutdown()
		synctest.Wait()
		w.submit("", "bob@example.net", "carol@example.net")
		w.took()
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || len(files) != 1 || w.stored() != 0 {
			t.Fatalf("%v, %v, %d stored", files, err, w.stored())
		}
		b, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		m, err := queue.Import(queue.Bytes(b))
		if err != nil || m.From != "" || len(m.Recipients) != 2 {
			t.Errorf("%+v, %v:\n%s", m, err, b)
		}
	})
}

// If the sender uses SMTPUTF8, the report is in UTF-8.
func TestReportInUTF8(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			if hop.Destination == "example.net" {
				return says(550, smtp.EnhancedCode{5, 1, 1}, "no")
			}
			if !m.Options.UTF8 || m.Options.Body != smtp.Body8BitMIME {
				t.Errorf("the report's options: %+v", m.Options)
			}
			return ok
		}
		w.run()
		defer w.shutdown()
		synctest.Wait()
		m := message("chloé@example.com", "jörg@example.net")
		m.Options.UTF8 = true
		if err := w.q.Submit(context.Background(), m); err != nil {
			t.Fatal(err)
		}
		if got := actions(t, w.took()); !slices.Equal(got, []string{"jörg@example.net failed 5.1.1"}) {
			t.Errorf("%q", got)
		}
	})
}

// A report that is refused temporarily each time must not keep the message, and
// the hosts that refuse it, busy for ever. At the end it becomes bad mail.
func TestReportAlwaysRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(q *queue.Queue) {
			q.Hooks = []queue.Hook{{Name: "h", Submitted: func(_ context.Context, m *queue.Message) error {
				if m.System {
					return errors.New("the directory has no sender like this")
				}
				return nil
			}}}
		})
		w.deliver = func(queue.NextHop, *queue.Message, *queue.Recipient) queue.Result {
			return says(550, smtp.EnhancedCode{5, 1, 1}, "No such user")
		}
		w.run()
		defer w.shutdown()
		w.submit("alice@example.com", "bob@example.net")
		w.after(5 * 24 * time.Hour)
		if n := len(w.took()); n > 4*24*6 { // every 10 minutes or more
			t.Errorf("%d attempts", n)
		}
		bad := 0
		for info, err := range w.q.Messages(context.Background(), queue.Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			if info.Status == queue.MessageBad {
				bad++
			}
		}
		if bad != 1 || w.stored() != 1 {
			t.Errorf("%d of %d messages are bad mail, want 1 of 1", bad, w.stored())
		}
	})
}
