package policy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// announcesDSN reports whether the reply to EHLO contains DSN.
func announcesDSN(t *testing.T, srv *policytest.Server, from string) bool {
	t.Helper()
	c, err := srv.Dial(from)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	smtptest.ReadReply(r)
	io.WriteString(c, "EHLO client.example\r\n")
	lines, err := smtptest.ReadReply(r)
	if err != nil || len(lines) < 2 {
		t.Fatal(lines, err)
	}
	return slices.ContainsFunc(lines, func(l string) bool { return len(l) > 4 && l[4:] == "DSN" })
}

// DSN is announced to clients that have a right by their address, and where the
// server offers AUTH.
func TestDSNAnnounced(t *testing.T) {
	open := func(g *Gate) *Gate { g.DSNForEveryone = true; return g }
	without := func() *Gate { g := organization(); g.Authenticated = false; return g }
	underTLS, _ := smtptest.TLSConfig(t)
	for _, c := range []struct {
		name                 string
		gate                 *Gate
		srv                  *smtpserver.Server
		stranger, neighbours bool
	}{
		{"no AUTH", without(), nil, false, true},
		{"AUTH", organization(), nil, true, true},
		{"AUTH only under TLS", organization(), &smtpserver.Server{Auth: passwords(), TLSConfig: underTLS}, false, true},
		{"the setting", open(without()), nil, true, true},
		{"switched off", open(organization()), &smtpserver.Server{Disable: smtpserver.ExtDSN}, false, false},
	} {
		srv, _ := install(t, c.gate, c.srv)
		if got := announcesDSN(t, srv, stranger); got != c.stranger {
			t.Errorf("%s: announced to a stranger: %v", c.name, got)
		}
		if got := announcesDSN(t, srv, neighbour); got != c.neighbours {
			t.Errorf("%s: announced to a neighbour: %v", c.name, got)
		}
	}
}

// Where DSN was not announced, its parameters are refused, and only they (RFC
// 5321, 4.1.1.11).
func TestDSNNotAnnounced(t *testing.T) {
	g := organization()
	g.Authenticated = false
	srv, out := install(t, g, nil)
	for _, hello := range []string{"EHLO", "HELO"} {
		srv.Talk(t, stranger, `
			S: 220
			C: `+hello+` client.example
			S: 250
			C: MAIL FROM:<someone@example.net> RET=HDRS
			S: 555 5.5.4
			C: MAIL FROM:<someone@example.net> ENVID=x
			S: 555 5.5.4
			C: MAIL FROM:<someone@example.net> SIZE=100
			S: 250
			C: RCPT TO:<alice@example.com> NOTIFY=SUCCESS
			S: 555 5.5.4
			C: RCPT TO:<alice@example.com> ORCPT=rfc822;alice@example.com
			S: 555 5.5.4
			C: RCPT TO:<alice@example.com>
			S: 250
		`+body+`
			S: 250
		`)
	}
	if len(out.messages) != 2 {
		t.Errorf("%d messages", len(out.messages))
	}
}

// After STARTTLS, when AUTH is offered, DSN is announced.
func TestDSNAnnouncedAfterSTARTTLS(t *testing.T) {
	underTLS, _ := smtptest.TLSConfig(t)
	srv, _ := install(t, organization(), &smtpserver.Server{Auth: passwords(), TLSConfig: underTLS})
	srv.Talk(t, stranger, `
		S: 220
		C: EHLO client.example
		S: 250 STARTTLS
		C: MAIL FROM:<someone@example.net> RET=HDRS
		S: 555
		C: STARTTLS
		S: 220
		TLS
		C: EHLO client.example
		S: 250 DSN
		C: MAIL FROM:<someone@example.net> RET=HDRS
		S: 250
	`)
}

// Where AUTH is offered, the parameters of all clients are accepted. But
// NOTIFY=SUCCESS has no effect for a client that has not authenticated and has
// no right by its address.
func TestDSNOfUnknownClients(t *testing.T) {
	const (
		never   = smtp.DSNNotifyNever
		success = smtp.DSNNotifySuccess
		failure = smtp.DSNNotifyFailure
		delay   = smtp.DSNNotifyDelayed
	)
	type notify = []smtp.DSNNotify
	for _, c := range []struct {
		param          string
		unknown, known notify
	}{
		{"", nil, nil},
		{"NOTIFY=SUCCESS", notify{never}, notify{success}}, // neither failures nor delays are wanted
		{"NOTIFY=SUCCESS,FAILURE", notify{failure}, notify{success, failure}},
		{"NOTIFY=DELAY,SUCCESS", notify{delay}, notify{delay, success}},
		{"NOTIFY=FAILURE,SUCCESS,DELAY", notify{failure, delay}, notify{failure, success, delay}},
		{"NOTIFY=FAILURE", notify{failure}, notify{failure}},
		{"NOTIFY=DELAY", notify{delay}, notify{delay}},
		{"NOTIFY=NEVER", notify{never}, notify{never}},
	} {
		for _, client := range []struct {
			name, from, auth string
			open             bool
			want             notify
		}{
			{"unknown", stranger, "", false, c.unknown},
			{"authenticated", stranger, "C: AUTH PLAIN AGFsaWNlAGVjaWxh\nS: 235", false, c.known},
			{"authentication failed", stranger, "C: AUTH PLAIN AGFsaWNlAGVjaWxo\nS: 535", false, c.unknown},
			{"neighbour", neighbour, "", false, c.known},
			{"the setting", stranger, "", true, c.known},
		} {
			g := organization()
			g.DSNForEveryone = client.open
			srv, out := install(t, g, &smtpserver.Server{Auth: passwords(), AllowInsecureAuth: true, Limits: smtpserver.Limits{Tarpit: -1}})
			srv.Talk(t, client.from, `
				S: 220
				C: EHLO client.example
				S: 250 DSN
				`+client.auth+`
				C: MAIL FROM:<alice@example.com> RET=HDRS ENVID=QQ1
				S: 250
				C: RCPT TO:<bob@example.com> ORCPT=rfc822;b@example.com `+c.param+`
				S: 250
			`+body+`
				S: 250
			`)
			m := out.only(t)
			o := m.Recipients[0].Options
			if !slices.Equal(o.Notify, client.want) {
				t.Errorf("%s of a client (%s) is queued as %v, want %v", c.param, client.name, o.Notify, client.want)
			}
			if m.Options.Return != smtp.DSNReturnHeaders || m.Options.EnvelopeID != "QQ1" || o.OriginalRecipient != "b@example.com" {
				t.Errorf("%s (%s): %+v, %+v", c.param, client.name, m.Options, o)
			}
		}
	}
}

// mailboxes is a Deliverer that has no mailbox "gone".
type mailboxes struct {
	mu  sync.Mutex // guards got
	got []string
}

func (h *mailboxes) Route(context.Context, *queue.Message, *queue.Recipient) (queue.NextHop, error) {
	return queue.NextHop{Destination: "home"}, nil
}

func (h *mailboxes) Deliver(_ context.Context, _ queue.NextHop, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	h.mu.Lock()
	defer h.mu.Unlock()
	var results []queue.Result
	for _, r := range rcpts {
		res := queue.Result{Outcome: queue.Success, Reply: smtp.SMTPError{Code: 250, EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Message: "Ok"}}
		if strings.HasPrefix(r.Addr, "gone@") {
			res = queue.Result{Outcome: queue.Failure, Reply: smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "Gone"}}
		}
		results = append(results, res)
		var text strings.Builder
		m.Content.WriteTo(&text)
		action := "mail"
		if _, rest, is := strings.Cut(text.String(), "\r\nAction: "); is {
			action, _, _ = strings.Cut(rest, "\r\n")
		}
		h.got = append(h.got, fmt.Sprint(action, " to ", r.Addr, " ", r.Options.Notify))
	}
	return results
}

// A stranger that gives a forged sender causes no report of a success. A known
// client gets its report. Failures are reported to both.
func TestNoSuccessReportForStrangers(t *testing.T) {
	for _, c := range []struct {
		from string
		want []string
	}{
		{stranger, []string{"failed to alice@example.com [NEVER]", "mail to bob@example.com [NEVER]", "mail to gone@example.com [FAILURE]"}},
		{neighbour, []string{"failed to alice@example.com [NEVER]", "mail to bob@example.com [SUCCESS]", "mail to gone@example.com [SUCCESS FAILURE]", "relayed to alice@example.com [NEVER]"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := new(mailboxes)
			q := &queue.Queue{Store: new(memory.Store), Deliverer: h, Hostname: "relay.example.com"}
			ended := make(chan error, 1)
			go func() { ended <- q.Run(context.Background()) }()
			g := organization()
			g.Domains = []Domain{{Name: "example.com"}}
			g.Queue = q
			srv := &smtpserver.Server{Hostname: "relay.example.com", Auth: passwords(), AllowInsecureAuth: true}
			if err := g.Install(srv); err != nil {
				t.Fatal(err)
			}
			l := smtptest.NewListener()
			served := make(chan error, 1)
			go func() { served <- srv.Serve(l) }()
			conn, err := l.Dial(c.from + ":1025")
			if err != nil {
				t.Fatal(err)
			}
			smtptest.TalkOn(t, conn, `
				S: 220
				C: EHLO client.example
				S: 250 DSN
				C: MAIL FROM:<alice@example.com>
				S: 250
				C: RCPT TO:<bob@example.com> NOTIFY=SUCCESS
				S: 250
				C: RCPT TO:<gone@example.com> NOTIFY=SUCCESS,FAILURE
				S: 250
			`+body+`
				S: 250
			`)
			conn.Close()
			synctest.Wait()
			slices.Sort(h.got)
			if !slices.Equal(h.got, c.want) {
				t.Errorf("client %s: delivered %q, want %q", c.from, h.got, c.want)
			}
			srv.Close()
			<-served
			if err := q.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
			<-ended
		})
	}
}
