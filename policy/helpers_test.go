package policy

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

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

func (d fakeDNS) lookup(qtype, name string) ([]string, error) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	switch v := d[qtype+" "+name]; v {
	case "":
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	case "FAIL":
		return nil, &net.DNSError{Err: "server misbehaving", Name: name, IsTemporary: true}
	default:
		return strings.Fields(v), nil
	}
}

func (d fakeDNS) LookupNetIP(_ context.Context, network, host string) ([]netip.Addr, error) {
	texts, err := d.lookup("A", host)
	var as []netip.Addr
	for _, t := range texts {
		if a := netip.MustParseAddr(t); network == "ip" || network == "ip4" && a.Is4() || network == "ip6" && a.Is6() {
			as = append(as, a)
		}
	}
	return as, err
}

func (d fakeDNS) LookupMX(_ context.Context, name string) ([]*net.MX, error) {
	texts, err := d.lookup("MX", name)
	var mxs []*net.MX
	for i, t := range texts {
		mxs = append(mxs, &net.MX{Host: t, Pref: uint16(10 * i)})
	}
	return mxs, err
}

func (d fakeDNS) LookupTXT(_ context.Context, name string) ([]string, error) {
	return d.lookup("TXT", name)
}

func (d fakeDNS) LookupAddr(_ context.Context, addr string) ([]string, error) {
	return d.lookup("PTR", addr)
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
