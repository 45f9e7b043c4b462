package transaction_test

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"
	"weak"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/policy/internal/dkimsig"
	"github.com/bridgehead-mail/bridgehead/policy/internal/mimetree"
	"github.com/bridgehead-mail/bridgehead/policy/internal/transaction"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

const talk = "S: 220\nC: EHLO x\nS: 250\nC: MAIL FROM:<a@example.org>\nS: 250\nC: RCPT TO:<b@example.com>\nS: 250\nC: DATA\nS: 354\n" +
	"C: Content-Type: multipart/mixed; boundary=b\nC: \nC: --b\nC: \nC: one\nC: --b\nC: \nC: two\nC: --b--\nC: .\nS: 250\n"

// Parts returns the parts of the current state of a message: they are parsed again
// if an agent has changed the header or the body.
func TestPartsFollowChanges(t *testing.T) {
	srv := policytest.New(t, &smtpserver.Server{Agents: []smtpserver.Agent{{EndOfData: func(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		check := func(when string, same bool, before []mimetree.Part) []mimetree.Part {
			t.Helper()
			got, err := transaction.Parts(s, m)
			want, _ := mimetree.Parse(m.Content(), mimetree.Limits{})
			if err != nil || len(got) != len(want) {
				t.Fatalf("%s: %d parts, %v, want %d", when, len(got), err, len(want))
			}
			for i := range got {
				if got[i].Start != want[i].Start || got[i].Body != want[i].Body || got[i].End != want[i].End || got[i].Type != want[i].Type {
					t.Errorf("%s: part %d is %+v, want %+v", when, i, got[i], want[i])
				}
			}
			if before != nil && (&got[0] == &before[0]) != same {
				t.Errorf("%s: parsed again: %v", when, !same)
			}
			return got
		}
		first := check("first", true, nil)
		check("without a change", true, first) // first keeps the parts alive, but not the cache
		if err := m.Header.Prepend("X: y\r\n"); err != nil {
			t.Fatal(err)
		}
		second := check("another header", false, first)
		m.Body = content.Of([]byte("--b--\r\n"))
		third := check("another body", false, second)
		m.Body = otherContent{strings.NewReader("--b\r\n\r\nx\r\n--b--\r\n")}
		fourth := check("content of another type", false, third)
		check("content of another type, which may change", false, fourth)
		m.Body = nil
		check("no body", false, fourth)
		return nil
	}}}})
	srv.Talk(t, "192.0.2.1", talk+"C: QUIT\nS: 221\n")
}

// A session that waits for its next message does not keep the content of the last
// one in memory.
func TestIdleSessionKeepsNoContent(t *testing.T) {
	var body weak.Pointer[content.Content]
	drop := smtpserver.HandlerFunc(func(context.Context, *smtpserver.Session, *smtpserver.Message) (string, error) { return "", nil })
	srv := policytest.New(t, &smtpserver.Server{Handler: drop, Agents: []smtpserver.Agent{{EndOfData: func(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		if _, err := transaction.Parts(s, m); err != nil {
			t.Error(err)
		}
		if _, err := transaction.BodySum(s, m, dkimsig.Relaxed); err != nil {
			t.Error(err)
		}
		transaction.Set(s, m, &note{"kept"})
		body = weak.Make(m.Body.(*content.Content))
		return nil
	}}, {Command: func(_ context.Context, _ *smtpserver.Session, verb, _ string) (*smtpserver.Reply, error) {
		if verb == "NOOP" {
			for n := 0; body.Value() != nil; n++ {
				if n == 1000 {
					t.Error("the content of the last message is still in memory")
					break
				}
				runtime.GC()
				time.Sleep(time.Millisecond)
			}
		}
		return nil, nil
	}}}})
	srv.Talk(t, "192.0.2.1", talk+"C: NOOP\nS: 250\nC: QUIT\nS: 221\n")
}
