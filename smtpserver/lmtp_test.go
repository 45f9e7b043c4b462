package smtpserver_test

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

var noSuchUser = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No such user"}

const lmtpTransaction = `
	S: 220 test.example LMTP
	C: EHLO client.example
	S: 500
	C: HELO client.example
	S: 500
	C: LHLO client.example
	S: 250 PIPELINING
	C: MAIL FROM:<a@example.com>
	C: RCPT TO:<b@example.com>
	C: RCPT TO:<c@example.com>
	C: RCPT TO:<d@example.com>
	C: DATA
	S: 250
	S: 250
	S: 250
	S: 250
	S: 354
	C: .
`

// RFC 2033, 4.2: a reply for each recipient, in their order.
func TestLMTP(t *testing.T) {
	for _, c := range []struct {
		name  string
		err   error
		reply string
	}{
		{"all taken", nil, "S: 250\nS: 250\nS: 250\n"},
		{"none taken", noSuchUser, "S: 550 5.1.1\nS: 550 5.1.1\nS: 550 5.1.1\n"},
		{"some taken", smtpserver.RecipientErrors{nil, noSuchUser, nil}, "S: 250\nS: 550 5.1.1\nS: 250\n"},
		{"each refused", smtpserver.RecipientErrors{noSuchUser, io.EOF, noSuchUser}, "S: 550 5.1.1\nS: 451 4.3.0\nS: 550\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := generous()
			s.LMTP = true
			s.Handler = smtpserver.HandlerFunc(func(context.Context, *smtpserver.Session, *smtpserver.Message) (string, error) { return "", c.err })
			srv := smtptest.NewServer(t, s)
			smtptest.Talk(t, srv.Addr, lmtpTransaction+c.reply+"C: QUIT\nS: 221\nEOF")
		})
	}
}

// If an agent adds a recipient, the number of replies does not change.
func TestLMTPWithRecipientsAdded(t *testing.T) {
	for reply, handled := range map[string]error{
		"S: 250\nS: 250\nS: 250\n": nil,
		"S: 550\nS: 550\nS: 550\n": smtpserver.RecipientErrors{nil, noSuchUser, nil, nil},
	} {
		s := generous()
		s.LMTP = true
		s.Agents = []smtpserver.Agent{{EndOfData: func(_ context.Context, _ *smtpserver.Session, m *smtpserver.Message) error {
			m.Recipients = append(m.Recipients, smtpserver.Recipient{Addr: "archive@example.com"})
			return nil
		}}}
		s.Handler = smtpserver.HandlerFunc(func(context.Context, *smtpserver.Session, *smtpserver.Message) (string, error) { return "", handled })
		srv := smtptest.NewServer(t, s)
		smtptest.Talk(t, srv.Addr, lmtpTransaction+reply+"C: QUIT\nS: 221\nEOF")
	}
}

// With SMTP there is one reply for all recipients.
func TestRecipientErrorsWithSMTP(t *testing.T) {
	srv := smtptest.NewServer(t, &smtpserver.Server{Handler: smtpserver.HandlerFunc(
		func(context.Context, *smtpserver.Session, *smtpserver.Message) (string, error) {
			return "", smtpserver.RecipientErrors{noSuchUser}
		})})
	smtptest.Talk(t, srv.Addr, send("X: y\r\n\r\n.\r\n", "550 5.1.1 No such user"))
}

// A go-smtp session is used without changes.
type goSession struct {
	log     *strings.Builder
	refused string
}

func (g *goSession) Reset()        { g.log.WriteString("reset ") }
func (g *goSession) Logout() error { g.log.WriteString("logout "); return nil }
func (g *goSession) Mail(from string, _ *smtp.MailOptions) error {
	g.log.WriteString("mail:" + from + " ")
	return nil
}
func (g *goSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	g.log.WriteString("rcpt:" + to + " ")
	if to == g.refused {
		return noSuchUser
	}
	return nil
}
func (g *goSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	g.log.WriteString("data:" + string(b) + " ")
	return err
}
func (g *goSession) AuthMechanisms() []string { return []string{sasl.Plain} }
func (g *goSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, username, _ string) error {
		g.log.WriteString("auth:" + username + " ")
		return nil
	}), nil
}

func TestAdaptGoSMTP(t *testing.T) {
	var log strings.Builder
	s := generous()
	agent, handler, auth := smtpserver.AdaptGoSMTP(func(*smtpserver.Session) (smtp.Session, error) {
		return &goSession{log: &log, refused: "nobody@example.com"}, nil
	})
	s.Agents, s.Handler, s.Auth, s.AllowInsecureAuth = []smtpserver.Agent{agent}, handler, auth, true
	srv := smtptest.NewServer(t, s)
	smtptest.Talk(t, srv.Addr, `
		S: 220
		C: EHLO client.example
		S: 250 AUTH PLAIN
		C: AUTH PLAIN `+b64("\x00alice\x00x")+`
		S: 235
		C: MAIL FROM:<a@example.com>
		S: 250
		C: RCPT TO:<nobody@example.com>
		S: 550 5.1.1
		C: RCPT TO:<b@example.com>
		S: 250
		C: DATA
		S: 354
		C: hello
		C: .
		S: 250
		C: QUIT
		S: 221
	`)
	srv.Close()
	want := "auth:alice mail:a@example.com rcpt:nobody@example.com rcpt:b@example.com data:\r\nhello\r\n reset logout "
	if log.String() != want {
		t.Errorf("calls %q, want %q", log.String(), want)
	}
}

type goLMTPSession struct{ goSession }

func (g *goLMTPSession) LMTPData(r io.Reader, st smtp.StatusCollector) error {
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	st.SetStatus("c@example.com", noSuchUser)
	return nil
}

func TestAdaptGoSMTPWithLMTP(t *testing.T) {
	s := generous()
	s.LMTP = true
	agent, handler, _ := smtpserver.AdaptGoSMTP(func(*smtpserver.Session) (smtp.Session, error) {
		return &goLMTPSession{goSession{log: new(strings.Builder)}}, nil
	})
	s.Agents, s.Handler = []smtpserver.Agent{agent}, handler
	srv := smtptest.NewServer(t, s)
	smtptest.Talk(t, srv.Addr, lmtpTransaction+"S: 250\nS: 550 5.1.1\nS: 250\n")
}

// After STARTTLS, an adapted session has forgotten everything from before,
// especially the login (RFC 3207, 4.2).
func TestAdaptGoSMTPForgetsAtSTARTTLS(t *testing.T) {
	var log strings.Builder
	s := withTLS(t, smtpserver.TLSOffered)
	agent, handler, auth := smtpserver.AdaptGoSMTP(func(*smtpserver.Session) (smtp.Session, error) {
		log.WriteString("new ")
		return &goSession{log: &log}, nil
	})
	s.Agents, s.Handler, s.Auth, s.AllowInsecureAuth = []smtpserver.Agent{agent}, handler, auth, true
	srv := smtptest.NewServer(t, s)
	smtptest.Talk(t, srv.Addr, `
		S: 220
		C: EHLO client.example
		S: 250
		C: AUTH PLAIN `+b64("\x00alice\x00x")+`
		S: 235
		C: STARTTLS
		S: 220
		TLS
		C: EHLO client.example
		S: 250
		C: EHLO client.example
		S: 250
		C: MAIL FROM:<a@example.com>
		S: 250
		C: QUIT
		S: 221
	`)
	srv.Close()
	if want := "new auth:alice logout new mail:a@example.com reset logout "; log.String() != want {
		t.Errorf("calls %q, want %q", log.String(), want)
	}
}

// The content file is closed for every result of the recipients.
func TestAdaptGoSMTPClosesTheFile(t *testing.T) {
	var file *os.File
	s := generous()
	s.LMTP, s.Limits.MemoryContent = true, 10
	s.ContentFile = func() (f *os.File, err error) {
		file, err = os.CreateTemp(t.TempDir(), "")
		return file, err
	}
	agent, handler, _ := smtpserver.AdaptGoSMTP(func(*smtpserver.Session) (smtp.Session, error) {
		return &goLMTPSession{goSession{log: new(strings.Builder)}}, nil
	})
	s.Agents, s.Handler = []smtpserver.Agent{agent}, handler
	srv := smtptest.NewServer(t, s)
	smtptest.Talk(t, srv.Addr, strings.Replace(lmtpTransaction, "\tC: .\n", "\tC: more than ten bytes\n\tC: .\n", 1)+"S: 250\nS: 550 5.1.1\nS: 250\n")
	srv.Close()
	if file == nil || file.Close() == nil {
		t.Errorf("the file %v was left open", file)
	}
}
