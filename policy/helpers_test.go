package policy

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/resolver"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// stranger is an unknown client; neighbour is a client in the organization's
// network.
const (
	stranger  = "192.0.2.1"
	neighbour = "10.1.2.3"
)

// install serves srv in memory with the policies of the Gate. Accepted messages
// are in the outbox.
func install(t testing.TB, g *Gate, srv *smtpserver.Server) (*policytest.Server, *outbox) {
	t.Helper()
	if srv == nil {
		srv = new(smtpserver.Server)
	}
	if srv.Hostname == "" {
		srv.Hostname = "relay.example.com"
	}
	out := new(outbox)
	if g.Queue == nil {
		g.Queue = out
	}
	if g.Authenticated && srv.Auth == nil {
		srv.Auth, srv.AllowInsecureAuth = passwords(), true
	}
	if err := g.Install(srv); err != nil {
		t.Fatal(err)
	}
	return policytest.New(t, srv), out
}

// outbox is a Submitter that stores messages.
type outbox struct {
	mu       sync.Mutex // guards the fields below
	messages []*queue.Message
	err      error
}

func (o *outbox) Submit(_ context.Context, m *queue.Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return o.err
	}
	o.messages = append(o.messages, m)
	return nil
}

// only returns the message, if there is exactly one.
func (o *outbox) only(t testing.TB) *queue.Message {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.messages) != 1 {
		t.Fatalf("%d messages were submitted, want 1", len(o.messages))
	}
	return o.messages[0]
}

func (o *outbox) empty(t testing.TB) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := len(o.messages); n > 0 {
		t.Errorf("%d messages were submitted, to %s, ...", n, o.messages[0].Recipients[0].Addr)
	}
}

// text returns the content of a message.
func text(t testing.TB, m *queue.Message) string {
	t.Helper()
	var b strings.Builder
	if _, err := m.Content.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// passwords accepts a user whose password is the user name backwards.
func passwords() smtpserver.Authenticator {
	return smtpserver.PasswordAuth(func(_ context.Context, _ *smtpserver.Session, user, password string) error {
		if len(user) != len(password) || user == "" {
			return errors.New("wrong password")
		}
		for i := range len(user) {
			if user[i] != password[len(user)-1-i] {
				return errors.New("wrong password")
			}
		}
		return nil
	})
}

// serveAgents serves in memory with the given agents, and accepts the messages
// that they do not refuse.
func serveAgents(t testing.TB, agents ...smtpserver.Agent) *policytest.Server {
	t.Helper()
	return policytest.New(t, &smtpserver.Server{Agents: agents})
}

// fakeDNS answers from a map with keys such as "MX example.net", "TXT ...",
// "PTR 192.0.2.1", and "A mx.example.net" for both families. Other names do not
// exist. The value "FAIL" is a server failure.
type fakeDNS map[string]string

func (d fakeDNS) Lookup(_ context.Context, name string, t resolver.Type) (*resolver.Answer, error) {
	texts, err := d.find(name, t)
	if err != nil {
		return nil, err
	}
	a := &resolver.Answer{Name: name}
	for i, text := range texts {
		switch t {
		case resolver.TypeA, resolver.TypeAAAA:
			if ip := netip.MustParseAddr(text); ip.Is4() == (t == resolver.TypeA) {
				a.Addrs = append(a.Addrs, ip)
			}
		case resolver.TypeMX:
			a.MX = append(a.MX, resolver.MX{Host: text, Preference: uint16(10 * i)})
		case resolver.TypeTXT:
			a.TXT = append(a.TXT, text)
		case resolver.TypePTR:
			a.Names = append(a.Names, text)
		}
	}
	if !a.Has(t) {
		return nil, &resolver.Error{Problem: resolver.NoRecord, Name: name, Type: t}
	}
	return a, nil
}

func (d fakeDNS) find(name string, t resolver.Type) ([]string, error) {
	name = strings.ToLower(name)
	key := map[resolver.Type]string{resolver.TypeAAAA: "A"}[t]
	if key == "" {
		key = t.String()
	}
	value := d[key+" "+name]
	for k, v := range d {
		if ip, err := netip.ParseAddr(strings.TrimPrefix(k, "PTR ")); t == resolver.TypePTR && err == nil && resolver.ReverseName(ip) == name {
			value = v
		}
	}
	switch value {
	case "":
		return nil, &resolver.Error{Problem: resolver.NoSuchName, Name: name, Type: t}
	case "FAIL":
		return nil, &resolver.Error{Problem: resolver.Failure, Name: name, Type: t}
	}
	return strings.Fields(value), nil
}

func serve(t testing.TB, srv *smtpserver.Server) *policytest.Server {
	t.Helper()
	return policytest.New(t, srv)
}

// servePasswords is serveAgents with AUTH.
func servePasswords(t testing.TB, agents ...smtpserver.Agent) *policytest.Server {
	t.Helper()
	return serve(t, &smtpserver.Server{Auth: passwords(), AllowInsecureAuth: true, Agents: agents})
}

func talkOn(t testing.TB, c net.Conn, script string) {
	t.Helper()
	defer c.Close()
	smtptest.TalkOn(t, c, script)
}
