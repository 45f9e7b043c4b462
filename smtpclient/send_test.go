package smtpclient

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// submission is a go-smtp server with the user alice. Its recipients are bob and
// carol. It keeps what it gets.
type submission struct {
	mu       sync.Mutex // guards the rest
	messages []string   // "from: content"
	options  smtp.MailOptions
	logins   []string
}

func startSubmission(t *testing.T, cfg *tls.Config, implicit bool) (*submission, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &submission{}
	srv := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &submitted{s: s}, nil }))
	srv.Domain, srv.TLSConfig, srv.AllowInsecureAuth = "smtp.example.net", cfg, true
	var wg sync.WaitGroup
	wg.Go(func() {
		if implicit {
			srv.Serve(tls.NewListener(l, cfg))
		} else {
			srv.Serve(l)
		}
	})
	t.Cleanup(func() { srv.Close(); wg.Wait() })
	return s, l.Addr().String()
}

type submitted struct {
	s    *submission
	from string
}

func (c *submitted) Reset()        {}
func (c *submitted) Logout() error { return nil }

func (c *submitted) Mail(from string, o *smtp.MailOptions) error {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.from, c.s.options = from, *o
	return nil
}

func (c *submitted) Rcpt(to string, _ *smtp.RcptOptions) error {
	if !strings.HasPrefix(to, "bob@") && !strings.HasPrefix(to, "carol@") {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No such user here"}
	}
	return nil
}

func (c *submitted) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err // not complete
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.messages = append(c.s.messages, c.from+": "+string(b))
	return nil
}

func (c *submitted) AuthMechanisms() []string { return []string{sasl.Plain} }

func (c *submitted) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, username, password string) error {
		c.s.mu.Lock()
		defer c.s.mu.Unlock()
		c.s.logins = append(c.s.logins, username+" "+password)
		if password != "wonderland" {
			return smtp.ErrAuthFailed
		}
		return nil
	}), nil
}

func letter(rcpts ...string) *Message {
	m := &Message{From: "alice@example.com", Content: String("Subject: hello\r\n\r\nHow are you?\r\n")}
	for _, r := range rcpts {
		m.Recipients = append(m.Recipients, Recipient{Addr: r})
	}
	return m
}

// at returns a Transport that connects to the listener instead of the address,
// trusts the authority and keeps no sessions, as the one of Send.
func at(listener string, auth Authenticator, a *authority) *Transport {
	t := &Transport{Auth: auth, MaxIdle: -1, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, listener)
	}}
	if a != nil {
		t.TLSConfig = a.roots()
	}
	return t
}

func TestSend(t *testing.T) {
	s, addr := startSubmission(t, nil, false)
	if err := Send(t.Context(), addr, nil, letter("bob@example.net", "carol@example.net")); err != nil {
		t.Fatal(err)
	}
	if want := "alice@example.com: Subject: hello\r\n\r\nHow are you?\r\n"; !slices.Equal(s.messages, []string{want}) {
		t.Errorf("%q, want one %q", s.messages, want)
	}
	if s.options.Body != "" {
		t.Errorf("a message of ASCII was declared as %s", s.options.Body)
	}

	// 8-bit content is declared, and the caller's message stays as it is.
	m := letter("bob@example.net")
	m.Content = Bytes([]byte("Subject: hello\r\n\r\n"), []byte("Grüße\r\n"))
	if err := Send(t.Context(), addr, nil, m); err != nil || s.options.Body != smtp.Body8BitMIME || m.Options.Body != "" {
		t.Errorf("%v, sent as %q, message %q", err, s.options.Body, m.Options.Body)
	}
}

// The error names the recipients that failed, with their replies.
func TestSendError(t *testing.T) {
	s, addr := startSubmission(t, nil, false)
	err := Send(t.Context(), addr, nil, letter("bob@example.net", "dave@example.net", "carol@example.net", "erin@example.net"))
	var failed *SendError
	if !errors.As(err, &failed) || len(failed.Failed) != 2 || failed.Recipients != 4 {
		t.Fatalf("%v: %+v", err, failed)
	}
	for i, want := range []string{"dave@example.net", "erin@example.net"} {
		f := failed.Failed[i]
		if f.Addr != want || f.Result.Outcome != Failure || f.Result.Reply.Code != 550 || f.Result.Host == "" {
			t.Errorf("%+v, want %s", f, want)
		}
	}
	var reply *smtp.SMTPError
	if !errors.As(err, &reply) || reply.EnhancedCode != (smtp.EnhancedCode{5, 1, 1}) {
		t.Errorf("the reply is %v", reply)
	}
	if want := "smtpclient: 2 of 4 recipients failed: <dave@example.net>: 550 5.1.1 No such user here"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	if len(s.messages) != 1 {
		t.Errorf("the others did not get the message: %q", s.messages)
	}

	// No host: all fail, and may be tried again.
	l, _ := net.Listen("tcp", "127.0.0.1:0")
	l.Close()
	err = Send(t.Context(), l.Addr().String(), nil, letter("bob@example.net"))
	var op *net.OpError
	if !errors.As(err, &failed) || failed.Failed[0].Result.Outcome != Unreachable || !errors.As(err, &op) {
		t.Errorf("%v: %+v", err, failed)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Send(ctx, addr, nil, letter("bob@example.net")); !errors.As(err, &failed) || !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

// With credentials, only a session with a valid certificate is used.
func TestSendAuthenticates(t *testing.T) {
	a, other := newAuthority(t, "Root"), newAuthority(t, "Other root")
	password := PasswordAuth("alice", "wonderland")
	for _, c := range []struct {
		name     string
		tls      *tls.Config
		addr     string
		auth     Authenticator
		policy   string // of the TLSError; "" for success
		implicit bool
	}{
		{name: "right host", tls: server(a.issue(nil, "localhost")), addr: "localhost:587", auth: password},
		{name: "port 465", tls: server(a.issue(nil, "localhost")), addr: "localhost:465", auth: password, implicit: true},
		{name: "a service name", tls: server(a.issue(nil, "localhost")), addr: "localhost:submission", auth: password},
		{name: "no TLS", addr: "localhost:587", auth: password, policy: "domain"},
		{name: "another host's certificate", tls: server(a.issue(nil, "smtp.example.org")), addr: "localhost:587", auth: password, policy: "domain"},
		{name: "unknown issuer", tls: server(other.issue(nil, "localhost")), addr: "localhost:587", auth: password, policy: "domain"},
		{name: "expired", tls: server(a.issue(expired, "localhost")), addr: "localhost:587", auth: password, policy: "domain"},
		{name: "no credentials, unknown issuer", tls: server(other.issue(nil, "localhost")), addr: "localhost:25"},
		{name: "no credentials, no TLS", addr: "localhost:25"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, listener := startSubmission(t, c.tls, c.implicit)
			err := send(t.Context(), at(listener, c.auth, a), c.addr, letter("bob@example.net"))
			if c.policy == "" {
				if err != nil || len(s.messages) != 1 || (c.auth != nil) != slices.Equal(s.logins, []string{"alice wonderland"}) {
					t.Errorf("%v; messages %q, logins %q", err, s.messages, s.logins)
				}
				return
			}
			var policy *TLSError
			var failed *SendError
			if !errors.As(err, &policy) || policy.Policy != c.policy || !errors.As(err, &failed) || len(s.messages) > 0 || len(s.logins) > 0 {
				t.Errorf("%v; messages %q, logins %q", err, s.messages, s.logins)
			}
		})
	}
	s, listener := startSubmission(t, server(a.issue(nil, "localhost")), false)
	err := send(t.Context(), at(listener, PasswordAuth("alice", "secret"), a), "localhost:587", letter("bob@example.net"))
	var reply *smtp.SMTPError
	if !errors.As(err, &reply) || reply.Code != 535 || len(s.messages) > 0 || strings.Contains(err.Error(), "secret") {
		t.Errorf("wrong password: %v, %q", err, s.messages)
	}
}

func TestSendArguments(t *testing.T) {
	ok := letter("bob@example.net")
	for want, send := range map[string]func() error{
		"the message is nil":                         func() error { return Send(t.Context(), "localhost:25", nil, nil) },
		"the message has no Content":                 func() error { return Send(t.Context(), "localhost:25", nil, &Message{Recipients: ok.Recipients}) },
		"the message has no Recipients":              func() error { return Send(t.Context(), "localhost:25", nil, &Message{Content: ok.Content}) },
		`"localhost" is not a host name with a port`: func() error { return Send(t.Context(), "localhost", nil, ok) },
		`":25" is not a host name with a port`:       func() error { return Send(t.Context(), ":25", nil, ok) },
		`"localhost:no-such-service"`:                func() error { return Send(t.Context(), "localhost:no-such-service", nil, ok) },
		`"localhost:70000"`:                          func() error { return Send(t.Context(), "localhost:70000", nil, ok) },
	} {
		var failed *SendError
		if err := send(); err == nil || !strings.Contains(err.Error(), want) || errors.As(err, &failed) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestFile(t *testing.T) {
	s, addr := startSubmission(t, nil, false)
	text := "Subject: hello\r\n\r\n" + strings.Repeat("How are you?\r\n", 20000) // several reads
	name := filepath.Join(t.TempDir(), "message.eml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	m := letter("bob@example.net")
	var err error
	if m.Content, err = File(name); err != nil || m.Content.Size() != int64(len(text)) {
		t.Fatal(err)
	}
	for range 2 {
		if err := Send(t.Context(), addr, nil, m); err != nil || s.messages[len(s.messages)-1] != "alice@example.com: "+text {
			t.Errorf("%v, %d messages", err, len(s.messages))
		}
	}

	// A file that is not the same anymore is not sent, and neither is a part of it.
	for what, change := range map[string]func() error{
		"longer":  func() error { return os.WriteFile(name, []byte(text+"More.\r\n"), 0o600) },
		"shorter": func() error { return os.Truncate(name, 100) },
		"newer":   func() error { return os.Chtimes(name, time.Time{}, time.Now().Add(time.Hour)) },
		"another": func() error {
			return errors.Join(os.WriteFile(name+".new", []byte(text), 0o600), os.Rename(name+".new", name))
		},
		"removed": func() error { return os.Remove(name) },
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if m.Content, err = File(name); err != nil {
			t.Fatal(err)
		}
		if err := change(); err != nil {
			t.Fatal(err)
		}
		sent := len(s.messages)
		err := Send(t.Context(), addr, nil, m)
		var failed *SendError
		if !errors.As(err, &failed) || failed.Failed[0].Result.Outcome != Deferred || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", what, err)
		}
		if len(s.messages) != sent {
			t.Errorf("%s: the host has got %q", what, s.messages[sent:])
		}
	}
	c, err := File(name + ".other")
	if !errors.Is(err, fs.ErrNotExist) || c != nil {
		t.Errorf("no file: %v, %v", c, err)
	}
	if _, err := File(filepath.Dir(name)); err == nil || !strings.Contains(err.Error(), "is not a regular file") {
		t.Errorf("a directory: %v", err)
	}
}
