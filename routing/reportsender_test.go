package routing

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// ses is a smart host that refuses the null reverse-path and recipients that
// begin with "no".
func ses(t *testing.T) *smtptest.Server {
	return smtptest.NewServer(t, &smtpserver.Server{Hostname: "ses.example", Agents: []smtpserver.Agent{{
		Mail: func(_ context.Context, _ *smtpserver.Session, from string, _ *smtp.MailOptions) error {
			if from == "" {
				return &smtp.SMTPError{Code: 501, EnhancedCode: smtp.EnhancedCode{5, 1, 7}, Message: "Invalid MAIL FROM address provided"}
			}
			return nil
		},
		Rcpt: func(_ context.Context, _ *smtpserver.Session, to string, _ *smtp.RcptOptions) error {
			if strings.HasPrefix(to, "no") {
				return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No such user"}
			}
			return nil
		},
	}}})
}

// If a smart host refuses the null reverse-path, reports arrive with the
// connector's ReportSender. There is no report on a report.
func TestReportSender(t *testing.T) {
	for _, test := range []struct {
		name, sender, from string
		want               string // from and to of what the smart host has after the message; empty: bad mail
		bad                int
	}{
		{name: "control: none is set", from: "alice@example.com", bad: 1},
		{name: "report", sender: "bounces@example.com", from: "alice@example.com", want: "bounces@example.com alice@example.com"},
		{name: "the report cannot be delivered", sender: "bounces@example.com", from: "nouser@example.com", bad: 1},
		{name: "mail with the null reverse-path", sender: "bounces@example.com", want: "bounces@example.com bob@example.net", bad: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			srv := ses(t)
			host, port, _ := net.SplitHostPort(srv.Addr)
			table, err := NewTable(Connector{Name: "ses", Spaces: []string{"*"}, SmartHosts: SmartHosts("[" + host + "]:" + port), ReportSender: test.sender})
			if err != nil {
				t.Fatal(err)
			}
			router := &Router{Table: table, Hostname: "relay.example.com"}
			defer router.Close()
			var mu sync.Mutex
			var bad []string
			q := &queue.Queue{Store: new(memory.Store), Deliverer: router, Hostname: "relay.example.com",
				BadMail: func(_ context.Context, m *queue.Message) error {
					mu.Lock()
					defer mu.Unlock()
					bad = append(bad, fmt.Sprint(m.System, m.Recipients[0].Addr))
					return nil
				}}
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { q.Run(ctx); close(done) }()
			defer func() { stop(); <-done }()
			to := queue.Rcpt("nouser@example.net")
			if test.from == "" {
				to = queue.Rcpt("bob@example.net", "nouser@example.net")
			}
			if err := q.Submit(ctx, &queue.Message{From: test.from, Recipients: to, Content: queue.String("Subject: x\r\n\r\nx\r\n")}); err != nil {
				t.Fatal(err)
			}
			if err := q.Drain(ctx); err != nil {
				t.Fatal(err)
			}
			if test.want != "" {
				m := srv.Inbox.Next(t)
				if got := m.From + " " + m.Recipients[0].Addr; got != test.want {
					t.Errorf("the smart host has %q, want %q", got, test.want)
				}
				if n := m.Recipients[0].Options.Notify; len(n) != 1 || n[0] != smtp.DSNNotifyNever {
					t.Errorf("NOTIFY is %v", n)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if len(bad) != test.bad {
				t.Errorf("bad mail: %q, want %d", bad, test.bad)
			}
		})
	}
}

// With DirectFirst, the hosts found by DNS get the null reverse-path, and only
// the smart hosts get the ReportSender.
func TestReportSenderWithDirectFirst(t *testing.T) {
	n := newInternet(t, internetZone)
	plain, hub := n.host(t, "192.0.2.4:25"), n.host(t, "10.0.0.1:25")
	r := n.router(t, Connector{Name: "c", Spaces: []string{"*"}, DirectFirst: true, SmartHosts: SmartHosts("hub.example"), ReportSender: "bounces@example.com"})
	m := &queue.Message{Content: queue.String("x\r\n")}
	for _, domain := range []string{"plain.example", "example.net"} { // the hosts of the second are dead
		if got := r.Deliver(t.Context(), queue.NextHop{Connector: "c", Destination: domain}, m, queue.Rcpt("b@"+domain))[0]; got.Outcome != queue.Success {
			t.Errorf("%s: %+v", domain, got)
		}
	}
	if plain.sender != "" || hub.sender != "bounces@example.com" || m.From != "" {
		t.Errorf("senders: %q by DNS, %q at the smart host, %q in the queue", plain.sender, hub.sender, m.From)
	}
}

func TestReportSenderIsAnAddress(t *testing.T) {
	for _, bad := range []string{"bounces", "<bounces@example.com>", "bounces@", "a b@example.com", "<>"} {
		if _, err := NewTable(Connector{Name: "c", Spaces: []string{"*"}, ReportSender: bad}); err == nil || !strings.Contains(err.Error(), "ReportSender") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
