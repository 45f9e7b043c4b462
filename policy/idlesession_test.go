package policy_test

import (
	"context"
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/filter/rules"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// noQueue is a queue that drops all messages.
type noQueue struct{}

func (noQueue) Submit(context.Context, *queue.Message) error { return nil }

// A session with the agents of the Gate that waits for its next message does not keep
// the content of the last one in memory. Limits.TotalMemory does not count it.
func TestIdleSessionKeepsNoContent(t *testing.T) {
	var body weak.Pointer[content.Content]
	g := &policy.Gate{
		Domains: []policy.Domain{{Name: "example.com", Directory: policy.Recipients("alice")}},
		Queue:   noQueue{},
		Rules: []smtpserver.Agent{
			(&rules.Rules{List: []rules.Rule{{Name: "r", If: []rules.Condition{rules.Body("text")}, Then: []rules.Action{rules.SetSCL(3)}}}}).Agent(),
			{EndOfData: func(_ context.Context, _ *smtpserver.Session, m *smtpserver.Message) error {
				body = weak.Make(m.Body.(*content.Content))
				return nil
			}},
		},
	}
	srv := &smtpserver.Server{Agents: []smtpserver.Agent{{Command: func(_ context.Context, _ *smtpserver.Session, verb, _ string) (*smtpserver.Reply, error) {
		for n := 0; verb == "NOOP" && body.Value() != nil; n++ {
			if n == 1000 {
				t.Error("the content of the last message is still in memory")
				break
			}
			runtime.GC()
			time.Sleep(time.Millisecond)
		}
		return nil, nil
	}}}}
	if err := g.Install(srv); err != nil {
		t.Fatal(err)
	}
	policytest.New(t, srv).Talk(t, "192.0.2.1", "S: 220\nC: EHLO x.example\nS: 250\nC: MAIL FROM:<a@example.org>\nS: 250\nC: RCPT TO:<alice@example.com>\nS: 250\nC: DATA\nS: 354\n"+
		"C: From: a@example.org\nC: \nC: text\nC: .\nS: 250\nC: NOOP\nS: 250\nC: QUIT\nS: 221\n")
}
