package policy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

const envelope = `
	S: 220
	C: EHLO client.example
	S: 250
	C: MAIL FROM:<someone@example.net>
	S: 250
	C: RCPT TO:<alice@example.com>
	S: 250
`

const body = `
	C: DATA
	S: 354
	C: Subject: hello
	C:
	C: body
	C: .
`

// The data from the client and about the client is in the queued message.
func TestEnqueuer(t *testing.T) {
	srv, out := install(t, organization(), &smtpserver.Server{
		Name: "internet", Auth: passwords(), AllowInsecureAuth: true,
		Enable: smtpserver.ExtFutureRelease | smtpserver.ExtMTPriority,
	})
	srv.Talk(t, stranger, `
		S: 220
		C: EHLO client.example
		S: 250
		C: AUTH PLAIN AGFsaWNlAGVjaWxh
		S: 235
		C: MAIL FROM:<alice@example.com> BODY=8BITMIME ENVID=x+2B1 HOLDFOR=3600 MT-PRIORITY=3
		S: 250
		C: RCPT TO:<postmaster> NOTIFY=NEVER
		S: 250
		C: RCPT TO:<frank@example.net> ORCPT=rfc822;frank@example.net
		S: 250
	`+body+`
		S: 250 2.0.0 Ok: queued as
	`)
	m := out.only(t)
	if m.ID == "" || m.From != "alice@example.com" || m.Options.Body != smtp.Body8BitMIME || m.Options.EnvelopeID != "x+1" {
		t.Errorf("message %+v", m)
	}
	if len(m.Recipients) != 2 || m.Recipients[0].Addr != "postmaster@example.com" || m.Recipients[1].Addr != "frank@example.net" {
		t.Fatalf("recipients %+v", m.Recipients)
	}
	if o := m.Recipients[0].Options; len(o.Notify) != 1 || o.Notify[0] != smtp.DSNNotifyNever {
		t.Errorf("options %+v", o)
	}
	if o := m.Recipients[1].Options; o.OriginalRecipient != "frank@example.net" {
		t.Errorf("options %+v", o)
	}
	want := queue.Origin{Connector: "internet", ClientAddr: stranger, ClientHelo: "client.example", Identity: "alice", Protocol: "ESMTPA",
		ServerAddr: "192.0.2.25", Internal: true}
	if m.Origin != want {
		t.Errorf("origin %+v, want %+v", m.Origin, want)
	}
	if held := m.Options.Release.Sub(m.Received); held.Round(60e9).Hours() != 1 {
		t.Errorf("held for %v, want an hour", held)
	}
	if m.Options.Priority != 3 {
		t.Errorf("priority %d, want 3", m.Options.Priority)
	}
	if s := text(t, m); !strings.HasSuffix(s, "\r\nSubject: hello\r\n\r\nbody\r\n") {
		t.Errorf("content %q", s)
	}
}

// A recipient that is given twice gets one copy. Another local part is another
// recipient.
func TestEnqueuerNamesEachRecipientOnce(t *testing.T) {
	srv, out := install(t, organization(), nil)
	srv.Talk(t, stranger, envelope+`
		C: RCPT TO:<alice@EXAMPLE.com>
		S: 250
		C: RCPT TO:<alice@example.com>
		S: 250
		C: RCPT TO:<postmaster>
		S: 250
	`+body+`
		S: 250
	`)
	var to []string
	for _, r := range out.only(t).Recipients {
		to = append(to, r.Addr)
	}
	if got := fmt.Sprint(to); got != "[alice@example.com postmaster@example.com]" {
		t.Errorf("recipients %s", got)
	}
}

// If the queue refuses the message, the client gets this refusal and not 250.
func TestEnqueuerFails(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{errors.New("disk full"), "451 4.3.0"},
		{fmt.Errorf("spool: %w", &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 3, 1}, Message: "Insufficient disk space"}), "452 4.3.1 Insufficient disk space"},
	} {
		srv, _ := install(t, &Gate{Domains: []Domain{{Name: "example.com"}}, Queue: &outbox{err: tt.err}}, nil)
		srv.Talk(t, stranger, envelope+body+"S: "+tt.want)
	}
}

// Only admitted recipients get mail, even if the relay policy is missing or
// skipped.
func TestEnqueuerAcceptsOnlyAdmittedRecipients(t *testing.T) {
	out := new(outbox)
	whoCares := smtpserver.Agent{Rcpt: func(_ context.Context, _ *smtpserver.Session, to string, _ *smtp.RcptOptions) error {
		if strings.HasPrefix(to, "alice@") {
			return smtpserver.ErrAccept
		}
		return nil
	}}
	relay := &Relay{Domains: mustDomains(t, Domain{Name: "example.com", Directory: Recipients("bob")})}
	srv := policytest.New(t, &smtpserver.Server{Agents: []smtpserver.Agent{whoCares, relay.Agent()}, Handler: &Enqueuer{Queue: out}})
	srv.Talk(t, stranger, envelope+body+`
		S: 550 5.7.1 Unable to relay
		# what was admitted in one transaction is not in the next
		C: MAIL FROM:<>
		S: 250
		C: RCPT TO:<bob@example.com>
		S: 250
		C: RSET
		S: 250
		C: MAIL FROM:<>
		S: 250
		C: RCPT TO:<alice@example.com>
		S: 250
	`+body+`
		S: 550 5.7.1 Unable to relay
	`)
	out.empty(t)
}

// An agent may accept recipients itself if it calls Admit.
func TestAdmit(t *testing.T) {
	out := new(outbox)
	list := smtpserver.Agent{Name: "list", EndOfData: func(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		m.Recipients = []smtpserver.Recipient{{Addr: "alice@example.net"}, {Addr: "bob@example.net"}}
		Admit(s, "alice@example.net")
		Admit(s, "bob@example.net")
		return nil
	}}
	relay := &Relay{Domains: mustDomains(t, Domain{Name: "example.com"})}
	srv := policytest.New(t, &smtpserver.Server{Agents: []smtpserver.Agent{relay.Agent(), list}, Handler: &Enqueuer{Queue: out}})
	srv.Talk(t, stranger, envelope+body+"S: 250")
	if m := out.only(t); len(m.Recipients) != 2 || m.Recipients[1].Addr != "bob@example.net" {
		t.Errorf("recipients %+v", m.Recipients)
	}
}

func TestEnqueuerWithoutRecipients(t *testing.T) {
	out := new(outbox)
	removeAll := smtpserver.Agent{EndOfData: func(_ context.Context, _ *smtpserver.Session, m *smtpserver.Message) error {
		m.Recipients = nil
		return nil
	}}
	srv := policytest.New(t, &smtpserver.Server{Agents: []smtpserver.Agent{removeAll}, Handler: &Enqueuer{Queue: out}})
	srv.Talk(t, stranger, envelope+body+"S: 550 5.1.1")
	out.empty(t)
}

// fileWatch is a Submitter that records whether the file of the content was
// open.
type fileWatch struct {
	size int64
	err  error
}

func (w *fileWatch) Submit(_ context.Context, m *queue.Message) error {
	w.size, w.err = m.Content.WriteTo(io.Discard)
	return nil
}

// The file of a long message is open until Submit returns, and closed after it.
func TestEnqueuerClosesTheFile(t *testing.T) {
	var file *os.File
	w := new(fileWatch)
	srv, _ := install(t, &Gate{Domains: []Domain{{Name: "example.com"}}, Queue: w}, &smtpserver.Server{
		Limits: smtpserver.Limits{MemoryContent: 1000},
		ContentFile: func() (*os.File, error) {
			var err error
			file, err = os.Create(filepath.Join(t.TempDir(), "content"))
			return file, err
		}})
	srv.Talk(t, stranger, envelope+"C: DATA\nS: 354\nC: Subject: long\nC:\n"+strings.Repeat("C: "+strings.Repeat("x", 70)+"\n", 100)+"C: .\nS: 250")
	if w.err != nil || w.size < 7000 {
		t.Errorf("%d bytes were read, %v", w.size, w.err)
	}
	if err := file.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the file is still open (%v)", err)
	}
}
