package e2e

import (
	"context"
	"net/smtp"
	"strings"
	"sync"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Labels go from an agent through the spool to the events, and nothing of them is
// sent: neither in a command nor in the content, and neither of the message nor of
// the report about it.
func TestLabelsStayHere(t *testing.T) {
	var mu sync.Mutex // guards wire
	var wire strings.Builder
	host := newFaultySink(t, func(stage, arg string) string {
		mu.Lock()
		defer mu.Unlock()
		wire.WriteString(stage + " " + arg + "\n")
		if stage == "RCPT" && strings.Contains(arg, "unknown@") {
			return "550 5.1.1 No such user"
		}
		return ""
	})
	r, err := assemble(relayConfig{spool: t.TempDir(), smartHost: host.addr})
	must(t, err)
	r.srv.Agents = append(r.srv.Agents, smtpserver.Agent{
		Name: "label",
		EndOfData: func(_ context.Context, _ *smtpserver.Session, m *smtpserver.Message) error {
			m.Options.SetLabel("secret-key", "secret-value")
			return nil
		},
	})
	events := r.queue.Subscribe(0)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.run(ctx) }()
	for _, to := range []string{"bob@example.net", "unknown@example.net"} {
		must(t, smtp.SendMail(r.addr, nil, "alice@example.com", []string{to}, []byte("Subject: Lunch\r\n\r\nAt noon?\r\n")))
	}
	for sent := 0; sent < 2; { // the message to bob and the report to alice
		e := <-events.C
		if !e.System && e.Labels["secret-key"] != "secret-value" {
			t.Errorf("%v has the labels %v", e.Kind, e.Labels)
		}
		if e.Kind == queue.EventSend {
			sent++
		}
	}
	events.Close()
	stop()
	must(t, <-ended)
	host.mu.Lock()
	defer host.mu.Unlock()
	for _, m := range host.mails {
		wire.Write(m.data)
	}
	if text := strings.ToLower(wire.String()); strings.Contains(text, "secret") || len(host.mails) != 2 || !strings.Contains(text, "undeliverable: lunch") {
		t.Errorf("%d mails; sent:\n%s", len(host.mails), text)
	}
}
