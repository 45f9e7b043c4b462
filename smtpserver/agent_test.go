package smtpserver_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// recording is an agent that records its events.
func recording(name string, events *[]string) smtpserver.Agent {
	note := func(format string, args ...any) { *events = append(*events, name+" "+fmt.Sprintf(format, args...)) }
	return smtpserver.Agent{
		Name:    name,
		Connect: func(_ context.Context, s *smtpserver.Session) error { note("connect"); return nil },
		Helo:    func(_ context.Context, s *smtpserver.Session, n string) error { note("helo %s", n); return nil },
		Auth:    func(_ context.Context, s *smtpserver.Session) error { note("auth %s", s.Identity()); return nil },
		Mail: func(_ context.Context, s *smtpserver.Session, from string, _ *smtp.MailOptions) error {
			note("mail %s", from)
			return nil
		},
		Rcpt: func(_ context.Context, s *smtpserver.Session, to string, _ *smtp.RcptOptions) error {
			note("rcpt %s", to)
			return nil
		},
		Data: func(context.Context, *smtpserver.Session) error { note("data"); return nil },
		EndOfHeaders: func(_ context.Context, _ *smtpserver.Session, m *smtpserver.Message) error {
			note("header %s, body %v", m.Header.Get("subject"), m.Body)
			return nil
		},
		EndOfData: func(_ context.Context, _ *smtpserver.Session, m *smtpserver.Message) error {
			note("end, %d bytes of body", m.Body.Size())
			return nil
		},
		Command: func(_ context.Context, _ *smtpserver.Session, verb, arg string) (*smtpserver.Reply, error) {
			note("command %s %s", verb, arg)
			return nil, nil
		},
		Reset:      func(context.Context, *smtpserver.Session) { note("reset") },
		Reject:     func(_ context.Context, _ *smtpserver.Session, e *smtp.SMTPError) { note("reject %d", e.Code) },
		Disconnect: func(context.Context, *smtpserver.Session) { note("disconnect") },
	}
}

func TestEventsComeInOrder(t *testing.T) {
	var events []string
	s := generous()
	s.Auth, s.AllowInsecureAuth = wonderland(), true
	s.Agents = []smtpserver.Agent{recording("a", &events)}
	srv := smtptest.NewServer(t, s)
	smtptest.Talk(t, srv.Addr, `
		S: 220
		C: EHLO client.example
		S: 250
		C: AUTH PLAIN `+b64("\x00alice\x00wonderland")+`
		S: 235
		C: VRFY bob
		S: 252
		C: XYZZY
		S: 500
		C: MAIL FROM:<a@example.com>
		S: 250
		C: RCPT TO:<b@example.com>
		S: 250
		C: DATA
		S: 354
		C: Subject: s
		C: 
		C: body
		C: .
		S: 250
		C: QUIT
		S: 221
		EOF
	`)
	srv.Close()
	want := []string{"a connect", "a helo client.example", "a auth alice", "a command VRFY bob", "a command XYZZY ", "a reject 500",
		"a mail a@example.com", "a rcpt b@example.com", "a data", "a header s, body <nil>", "a end, 6 bytes of body", "a reset", "a disconnect"}
	if !slices.Equal(events, want) {
		t.Errorf("events:\n%s\nwant:\n%s", strings.Join(events, "\n"), strings.Join(want, "\n"))
	}
}

// The result of an agent has the documented effect at each event.
func TestAgentResults(t *testing.T) {
	no := &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "No"}
	results := []struct {
		name string
		err  error
		// how the replies begin; "" is the normal one, "close" the end
		mail, data, end string
		taken           bool
	}{
		{"nil", nil, "", "", "", true},
		{"SMTPError", no, "554 5.7.1 No", "554 5.7.1 No", "554 5.7.1 No", false},
		{"wrapped", fmt.Errorf("because: %w", no), "554 5.7.1 No", "554 5.7.1 No", "554 5.7.1 No", false},
		{"accept", smtpserver.ErrAccept, "", "", "", true},
		{"discard", smtpserver.ErrDiscard, "", "", "", false},
		{"any other", errors.New("disk on fire"), "451 4.3.0", "451 4.3.0", "451 4.3.0", false},
		{"close", smtpserver.ErrClose, "421 4.3.2", "421 4.3.2", "421 4.3.2", false},
		{"close with reply", fmt.Errorf("%w: %w", smtpserver.ErrClose, no), "554 5.7.1 No", "554 5.7.1 No", "554 5.7.1 No", false},
		{"disagreeing codes", &smtp.SMTPError{Code: 450, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "x"}, "450 4.1.1 x", "450 4.1.1", "450 4.1.1", false},
		{"no refusal", &smtp.SMTPError{Code: 250, Message: "x"}, "451 4.3.0", "451", "451", false},
		{"several lines", &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 0}, Message: "one\r\n250 two\n\x00"}, "550 5.1.0 250 two", "550 5.1.0 ?", "550 5.1.0 one", false},
	}
	for _, event := range []string{"mail", "data", "header", "end"} {
		for _, r := range results {
			t.Run(event+"/"+r.name, func(t *testing.T) {
				s := generous()
				a := smtpserver.Agent{Name: "a"}
				closes := errors.Is(r.err, smtpserver.ErrClose)
				script := "S: 220\nC: EHLO client.example\nS: 250\nC: MAIL FROM:<a@example.com>\n"
				expect := func(want, normal string) bool {
					if want == "" {
						script += "S: " + normal + "\n"
						return true
					}
					script += "S: " + want + "\n"
					if closes {
						script += "EOF\n"
					} else {
						script += "C: NOOP\nS: 250\n"
					}
					return false
				}
				switch event {
				case "mail":
					a.Mail = func(context.Context, *smtpserver.Session, string, *smtp.MailOptions) error { return r.err }
				case "data":
					a.Data = func(context.Context, *smtpserver.Session) error { return r.err }
				case "header":
					a.EndOfHeaders = func(context.Context, *smtpserver.Session, *smtpserver.Message) error { return r.err }
				case "end":
					a.EndOfData = func(context.Context, *smtpserver.Session, *smtpserver.Message) error { return r.err }
				}
				on := event != "mail" || expect(r.mail, "250 2.1.0")
				if on {
					if event != "mail" {
						script += "S: 250 2.1.0\n"
					}
					script += "C: RCPT TO:<b@example.com>\nS: 250\nC: DATA\n"
					on = event != "data" || expect(r.data, "354")
				}
				if on {
					if event != "data" {
						script += "S: 354\n"
					}
					script += "C: Subject: x\nC: \nC: body\nC: .\n"
					if event == "header" || event == "end" {
						expect(r.end, "250 2.0.0 Ok: queued as")
					} else {
						script += "S: 250 2.0.0\n"
					}
				}
				s.Agents = []smtpserver.Agent{a}
				srv := smtptest.NewServer(t, s)
				smtptest.Talk(t, srv.Addr, script)
				if got := srv.Inbox.Len() == 1; got != r.taken {
					t.Errorf("taken: %v, want %v", got, r.taken)
				}
			})
		}
	}
}

// After ErrAccept or a refusal, the server calls no further agents.
func TestAgentsAreAskedInOrder(t *testing.T) {
	var events []string
	first := recording("first", &events)
	first.Rcpt = func(_ context.Context, _ *smtpserver.Session, to string, _ *smtp.RcptOptions) error {
		if strings.HasPrefix(to, "friend") {
			return smtpserver.ErrAccept
		}
		if strings.HasPrefix(to, "foe") {
			return &smtp.SMTPError{Code: 550, Message: "no"}
		}
		return nil
	}
	s := generous()
	s.Agents = []smtpserver.Agent{first, recording("second", &events)}
	srv := smtptest.NewServer(t, s)
	smtptest.Talk(t, srv.Addr, `
		S: 220
		C: HELO client.example
		S: 250
		C: MAIL FROM:<>
		S: 250
		C: RCPT TO:<friend@example.com>
		S: 250
		C: RCPT TO:<foe@example.com>
		S: 550
		C: RCPT TO:<other@example.com>
		S: 250
		C: QUIT
		S: 221
	`)
	srv.Close()
	var rcpts []string
	for _, e := range events {
		if strings.Contains(e, "rcpt") {
			rcpts = append(rcpts, e)
		}
	}
	if want := []string{"second rcpt other@example.com"}; !slices.Equal(rcpts, want) {
		t.Errorf("events %q, want %q", rcpts, want)
	}
}

// If Connect returns 554, this reply replaces the banner, and only QUIT
// succeeds after it (RFC 5321, 3.1). If Connect returns 421, the server closes
// the connection.
func TestConnectRefusals(t *testing.T) {
	for code, script := range map[int]string{
		554: `
			S: 554 5.7.1 No
			C: EHLO client.example
			S: 503 5.5.1
			C: NOOP
			S: 503
			C: QUIT
			S: 221
			EOF`,
		421: `
			S: 421 4.7.1 No
			EOF`,
	} {
		s := generous()
		s.Agents = []smtpserver.Agent{{Connect: func(context.Context, *smtpserver.Session) error {
			return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 7, 1}, Message: "No"}
		}}}
		srv := smtptest.NewServer(t, s)
		smtptest.Talk(t, srv.Addr, script)
	}
}

// Agents change the envelope, the header and the body.
func TestAgentsChangeTheMessage(t *testing.T) {
	s := generous()
	s.Agents = []smtpserver.Agent{{
		Mail: func(_ context.Context, _ *smtpserver.Session, _ string, o *smtp.MailOptions) error {
			o.EnvelopeID = "added"
			return nil
		},
		EndOfHeaders: func(_ context.Context, _ *smtpserver.Session, m *smtpserver.Message) error {
			m.Header.Delete(func(f smtpserver.Field) bool { return f.Is("bcc") })
			return m.Header.Prepend("Received: by test\r\n\tfolded\r\n")
		},
		EndOfData: func(_ context.Context, _ *smtpserver.Session, m *smtpserver.Message) error {
			m.Recipients = append(m.Recipients, smtpserver.Recipient{Addr: "archive@example.com"})
			m.From = "rewritten@example.com"
			return nil
		},
	}}
	srv := smtptest.NewServer(t, s)
	smtptest.Talk(t, srv.Addr, send("Subject: x\r\nBcc: secret@example.com\r\nTo: b\r\n\r\nbody\r\n.\r\n", "250"))
	m := srv.Inbox.Next(t)
	if want := "Received: by test\r\n\tfolded\r\nSubject: x\r\nTo: b\r\n\r\nbody\r\n"; m.Text != want {
		t.Errorf("content %q, want %q", m.Text, want)
	}
	if m.From != "rewritten@example.com" || len(m.Recipients) != 2 || m.Options.EnvelopeID != "added" {
		t.Errorf("envelope %+v", m.Message)
	}
}

// The error of the Handler becomes the reply. Without a Handler, the server
// refuses all mail.
func TestHandlerErrors(t *testing.T) {
	for want, err := range map[string]error{
		"552 5.2.2 Full": &smtp.SMTPError{Code: 552, EnhancedCode: smtp.EnhancedCode{5, 2, 2}, Message: "Full"},
		"451 4.3.0":      errors.New("database is away"),
	} {
		srv := smtptest.NewServer(t, &smtpserver.Server{Handler: smtpserver.HandlerFunc(
			func(context.Context, *smtpserver.Session, *smtpserver.Message) (string, error) { return "", err })})
		smtptest.Talk(t, srv.Addr, send("X: y\r\n\r\n.\r\n", want))
	}
	srv := smtptest.NewServer(t, &smtpserver.Server{Handler: smtpserver.HandlerFunc(
		func(context.Context, *smtpserver.Session, *smtpserver.Message) (string, error) { return "Thanks", nil })})
	smtptest.Talk(t, srv.Addr, send("X: y\r\n\r\n.\r\n", "250 2.0.0 Thanks"))
}

// ATRN (RFC 2645): client and server exchange their roles on the same
// connection.
func TestTakeover(t *testing.T) {
	s := generous()
	s.Agents = []smtpserver.Agent{{
		Keywords: func(*smtpserver.Session) []string { return []string{"ATRN"} },
		Command: func(_ context.Context, _ *smtpserver.Session, verb, arg string) (*smtpserver.Reply, error) {
			if verb != "ATRN" {
				return nil, nil
			}
			return &smtpserver.Reply{Code: 250, Lines: []string{"OK now reversing the connection"},
				Takeover: func(_ context.Context, c net.Conn) { reversed(t, c, arg) }}, nil
		},
	}}
	srv := smtptest.NewServer(t, s)
	c := dialRaw(t, srv.Addr)
	c.expect("220 ")
	c.send("EHLO customer.example\r\n")
	c.expect("250-")
	c.send("ATRN example.com\r\n")
	c.expect("250 OK now reversing")
	c.send("220 customer.example ready to receive\r\n")
	if got, err := c.r.ReadString('\n'); got != "EHLO provider.example for example.com\r\n" {
		t.Fatalf("the server says %q, %v", got, err)
	}
	c.send("221 enough\r\n")
	c.gone()
}

func reversed(t *testing.T, c net.Conn, domain string) {
	r := newRaw(t, c)
	r.expect("220 customer.example")
	r.send("EHLO provider.example for " + domain + "\r\n")
	r.expect("221")
}
