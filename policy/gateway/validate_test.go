package gateway_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/queue/tracking"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// parts are the parts of a relay that is right, for a test to break.
type parts struct {
	*gateway.Gateway
	t      *testing.T
	router *routing.Router
	gate   *policy.Gate
	srv    *smtpserver.Server
	log    syncBuffer
}

// newParts makes a relay for example.com. change changes it before the Gate is
// installed.
func newParts(t *testing.T, change func(*parts)) *parts {
	t.Helper()
	domains := []policy.Domain{{Name: "example.com", SmartHosts: []string{"192.0.2.5"}}}
	p := &parts{t: t, router: new(routing.Router), srv: new(smtpserver.Server)}
	p.table(routing.Site{Accepted: policy.Destinations(domains...)}, routing.Connector{Name: "internet", Spaces: []string{"*"}})
	q := &queue.Queue{Store: new(memory.Store), Deliverer: p.router}
	p.gate = &policy.Gate{Domains: domains, Queue: q}
	p.Gateway = &gateway.Gateway{
		Hostname:  "relay.example.com",
		Logger:    slog.New(slog.NewTextHandler(&p.log, nil)),
		Listeners: []*gateway.Listener{{Server: p.srv, Address: "127.0.0.1:0"}},
		Queue:     q,
		Closers:   []io.Closer{p.router},
	}
	if change != nil {
		change(p)
	}
	for _, l := range p.Listeners {
		if l != nil && l.Server != nil && l.Server.Handler == nil {
			if err := p.gate.Install(l.Server); err != nil {
				t.Fatal(err)
			}
		}
	}
	return p
}

func (p *parts) table(site routing.Site, connectors ...routing.Connector) {
	p.t.Helper()
	table, err := site.NewTable(connectors...)
	if err != nil {
		p.t.Fatal(err)
	}
	p.router.Table = table
}

// smartHost routes all mail to a smart host.
func (p *parts) smartHost(host string) {
	p.gate.Domains[0].SmartHosts = nil
	p.table(routing.Site{}, routing.Connector{Name: "all", Spaces: []string{"*"}, SmartHosts: routing.SmartHosts(host)})
}

// certificate makes a self-signed certificate.
func certificate(t *testing.T, name string, until time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: until.Add(-24 * time.Hour), NotAfter: until}
	if name != "" {
		c.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestValidateAcceptsARightRelay(t *testing.T) {
	p := newParts(t, func(p *parts) {
		p.srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate(t, "relay.example.com", time.Now().Add(time.Hour))}}
		p.srv.ProtocolLog = smtpserver.NewProtocolLog(&smtpserver.ProtocolLogFiles{Dir: filepath.Join(t.TempDir(), "a", "b")})
		p.Tracking = &tracking.Log{Dir: t.TempDir()}
		p.Closers = append(p.Closers, p.srv.ProtocolLog.(io.Closer))
	})
	if err := p.Validate(); err != nil {
		t.Error(err)
	}
	run(t, p.Gateway)
	if log := p.log.String(); strings.Contains(log, "WARN") {
		t.Errorf("log:\n%s", log)
	}
}

// Each mistake is an error that begins with the path of the field, and Run
// returns it before it opens a socket.
func TestMistakes(t *testing.T) {
	auth := smtpserver.PasswordAuth(func(context.Context, *smtpserver.Session, string, string) error { return nil })
	for name, tt := range map[string]struct {
		change func(*parts)
		want   string // the beginning of a line of the error
	}{
		"no Queue":                {func(p *parts) { p.Queue = nil }, "Queue: is not set"},
		"Queue without Store":     {func(p *parts) { p.Queue.Store = nil }, "Queue.Store: "},
		"Queue without Deliverer": {func(p *parts) { p.Queue.Deliverer = nil }, "Queue.Deliverer: "},
		"Router without Table":    {func(p *parts) { p.router.Table = nil }, "Queue.Deliverer.Table: "},
		"queue limit":             {func(p *parts) { p.Queue.Limits.Active = -1 }, "Queue.Limits.Active: "},
		"retry interval":          {func(p *parts) { p.Queue.Retry = queue.Retry{Intervals: []time.Duration{0}} }, "Queue.Retry.Intervals[0]: "},
		"Gate with another Queue": {func(p *parts) { p.gate.Queue = &queue.Queue{} }, "Listeners[0].Server: Gate.Queue is not the Queue of the Gateway"},
		"nil Listener":            {func(p *parts) { p.Listeners = append(p.Listeners, nil) }, "Listeners[1]: is nil"},
		"Listener without Server": {func(p *parts) { p.Listeners = append(p.Listeners, new(gateway.Listener)) }, "Listeners[1].Server: is not set"},
		"Servers with nil":        {func(p *parts) { p.Servers = []*smtpserver.Server{nil} }, "Servers[0]: is nil"},
		"Server without Handler":  {func(p *parts) { p.Servers = []*smtpserver.Server{{}} }, "Servers[0].Handler: is not set"},
		"one Server twice": {func(p *parts) {
			p.Listeners = append(p.Listeners, &gateway.Listener{Server: p.srv, Address: "127.0.0.1:0"})
		}, "Listeners[1].Server: is also Listeners[0].Server"},
		"one address twice":        {twoListeners("127.0.0.1:2525", "127.0.0.1:2525"), "Listeners[1].Address: 127.0.0.1:2525 is also used by Listeners[0]"},
		"address and all":          {twoListeners("127.0.0.1:2525", ":2525"), "Listeners[1].Address: :2525 is also used"},
		"the default address":      {twoListeners("", ":25"), "Listeners[1].Address: :25 is also used"},
		"a name of a port":         {twoListeners(":smtp", ":25"), "Listeners[1].Address: :25 is also used"},
		"no address":               {func(p *parts) { p.Listeners[0].Address = "25" }, `Listeners[0].Address: "25" is not an address`},
		"no port":                  {func(p *parts) { p.Listeners[0].Address = "127.0.0.1:port" }, "Listeners[0].Address: "},
		"negative Grace":           {func(p *parts) { p.Grace = -1 }, "Grace: -1ns is negative"},
		"Grace without a unit":     {func(p *parts) { p.Grace = 30 }, "Grace: 30 nanoseconds: is the unit missing"},
		"MemoryLimit in MB":        {func(p *parts) { p.MemoryLimit = 512 }, "MemoryLimit: 512 bytes are less than 1 MiB"},
		"nil task":                 {func(p *parts) { p.Tasks = []func(context.Context) error{nil} }, "Tasks[0]: is nil"},
		"nil part":                 {func(p *parts) { p.Parts = []gateway.Inheritor{(*routing.Fetcher)(nil)} }, "Parts[0]: is nil"},
		"nil closer":               {func(p *parts) { p.Closers = append(p.Closers, (*routing.Router)(nil)) }, "Closers[1]: is nil"},
		"TLS mode without TLS":     {func(p *parts) { p.change(func(s *smtpserver.Server) { s.TLSMode = smtpserver.TLSRequired }) }, "Listeners[0].Server.TLSMode: "},
		"AUTH that no one can use": {func(p *parts) { p.change(func(s *smtpserver.Server) { s.Auth = auth }) }, "Listeners[0].Server.Auth: "},
		"host name with a space":   {func(p *parts) { p.Hostname = "my relay" }, "Hostname: "},
		"host name not in ASCII":   {func(p *parts) { p.Hostname = "bücher.example" }, "Hostname: "},
		"tracking without Dir":     {func(p *parts) { p.Tracking = new(tracking.Log) }, "Tracking.Dir: "},
		"tracking in /proc":        {func(p *parts) { p.Tracking = &tracking.Log{Dir: "/proc/x/y"} }, "Tracking.Dir: /proc/x/y cannot be written: "},
		"tracking in a file":       {func(p *parts) { p.Tracking = &tracking.Log{Dir: file(p.t) + "/logs"} }, "Tracking.Dir: "},
		"protocol log of a server": {func(p *parts) {
			p.change(func(s *smtpserver.Server) {
				s.ProtocolLog = smtpserver.NewProtocolLog(&smtpserver.ProtocolLogFiles{Dir: "/proc/x"})
			})
		}, "Listeners[0].Server.ProtocolLog.Dir: /proc/x cannot be written"},
		"protocol log of a client": {func(p *parts) {
			p.Closers = append(p.Closers, smtpclient.NewProtocolLog(&smtpclient.ProtocolLogFiles{}))
		}, "Closers[1].Dir: "},
		"a domain without a connector": {func(p *parts) {
			p.gate.Domains = append(p.gate.Domains, policy.Domain{Name: "example.org"})
			p.table(routing.Site{Accepted: policy.Destinations(p.gate.Domains[:1]...)}, routing.Connector{Name: "n", Spaces: []string{"example.net"}})
		}, `Listeners[0].Server: Gate.Domains[1]: no connector serves "example.org"`},
		"a pattern without a connector": {func(p *parts) {
			p.gate.Domains = append(p.gate.Domains, policy.Domain{Name: "*.example.org"})
			p.table(routing.Site{Accepted: policy.Destinations(p.gate.Domains[:1]...)}, routing.Connector{Name: "n", Spaces: []string{"example.org"}})
		}, `Listeners[0].Server: Gate.Domains[1]: no connector serves "*.example.org"`},
		"unresolved recipients to a connector that does not exist": {func(p *parts) {
			d := &p.gate.Domains[0]
			d.Kind, d.Directory, d.Unresolved = policy.InternalRelay, policy.Recipients("alice"), queue.NextHop{Connector: "intrenet"}
		}, `Listeners[0].Server: Gate.Domains[0].Unresolved: the routing table has no connector "intrenet": the mail would wait`},
		"a shared domain with a connector that does not exist": {func(p *parts) {
			p.gate.Domains[0].Directory = policy.Recipients("bob")
			p.gate.Domains[0].SharedWith = []policy.OtherSystem{{Directory: policy.Recipients("alice"), Route: queue.NextHop{Connector: "old"}}}
		}, `Listeners[0].Server: Gate.Domains[0].SharedWith[0].Route: the routing table has no connector "old": the mail would wait`},
		"a destination that the table does not have": {func(p *parts) {
			p.table(routing.Site{}, routing.Connector{Name: "internet", Spaces: []string{"*"}})
		}, "Listeners[0].Server: Gate.Domains[0]: the routing table was made without the destination of"},
		"our own name by DNS": {func(p *parts) {
			p.gate.Domains = append(p.gate.Domains, policy.Domain{Name: "Relay.example.com"})
		}, `Listeners[0].Server: Gate.Domains[1]: "Relay.example.com" is the host name of this relay`},
		"the relay as a smart host": {func(p *parts) {
			p.Listeners[0].Address = "127.0.0.1:2525"
			p.smartHost("127.0.0.1:2525")
		}, `Queue.Deliverer: connector all: SmartHosts[0]: "127.0.0.1:2525" is this relay`},
		"localhost as a smart host": {func(p *parts) {
			p.Listeners[0].Address = ":2525"
			p.smartHost("localhost:2525")
		}, `Queue.Deliverer: connector all: SmartHosts[0]: "localhost:2525" is this relay`},
		"our name as a smart host": {func(p *parts) {
			p.Listeners[0].Address = ""
			p.smartHost("Relay.example.com")
		}, `Queue.Deliverer: connector all: SmartHosts[0]: "Relay.example.com" is this relay`},
	} {
		t.Run(name, func(t *testing.T) {
			p := newParts(t, tt.change)
			err := p.Validate()
			if err == nil || !strings.Contains("\n"+err.Error(), "\n"+tt.want) {
				t.Errorf("error %v\nwant %s", err, tt.want)
			}
			var f *gateway.Finding
			if !errors.As(err, &f) || f.Severity != gateway.Error || f.Subject == "" || f.Text == "" {
				t.Errorf("%#v is no Finding", f)
			}
			if got := p.Run(t.Context()); got == nil || !strings.Contains(got.Error(), tt.want) {
				t.Errorf("Run: %v", got)
			}
			for _, l := range p.Listeners {
				if l != nil && l.Addr() != nil {
					t.Errorf("the socket %v was opened", l.Addr())
				}
			}
		})
	}
}

// change changes the server after the Gate is installed.
func (p *parts) change(f func(*smtpserver.Server)) {
	p.t.Helper()
	if err := p.gate.Install(p.srv); err != nil {
		p.t.Fatal(err)
	}
	f(p.srv)
}

func twoListeners(first, second string) func(*parts) {
	return func(p *parts) {
		p.Listeners[0].Address = first
		p.Listeners = append(p.Listeners, &gateway.Listener{Server: new(smtpserver.Server), Address: second})
	}
}

// file makes a file where a directory is expected.
func file(t *testing.T) string {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// What looks like a mistake, but is none.
func TestNoMistakes(t *testing.T) {
	for name, change := range map[string]func(*parts){
		"port 0 twice":                         twoListeners("127.0.0.1:0", "127.0.0.1:0"),
		"a Server with and without a listener": func(p *parts) { p.Servers = []*smtpserver.Server{p.srv} },
		"two addresses":                        twoListeners("127.0.0.1:2525", "127.0.0.2:2525"),
		"two ports":                            twoListeners(":2525", ":2526"),
		"another port":                         func(p *parts) { p.Listeners[0].Address = "127.0.0.1:2525"; p.smartHost("127.0.0.1:2526") },
		"another address":                      func(p *parts) { p.Listeners[0].Address = "127.0.0.1:2525"; p.smartHost("127.0.0.2:2525") },
		"a local Postfix":                      func(p *parts) { p.Listeners[0].Address = ":2525"; p.smartHost("relay.example.com") },
		"a part of a pattern": func(p *parts) {
			p.gate.Domains = []policy.Domain{{Name: "*.example.org"}}
			p.table(routing.Site{}, routing.Connector{Name: "n", Spaces: []string{"a.b.example.org"}, SmartHosts: routing.SmartHosts("192.0.2.9")})
		},
		"a wrapped queue": func(p *parts) { p.gate.Queue = submitter{p.Queue} },
		"a Deliverer of the application": func(p *parts) {
			p.Queue.Deliverer = discard{}
			p.Closers = nil
		},
		"no Gate": func(p *parts) {
			p.srv.Handler = smtpserver.HandlerFunc(func(context.Context, *smtpserver.Session, *smtpserver.Message) (string, error) { return "", nil })
		},
		"AUTH without TLS on purpose": func(p *parts) {
			p.srv.Auth = smtpserver.PasswordAuth(func(context.Context, *smtpserver.Session, string, string) error { return nil })
			p.srv.AllowInsecureAuth = true
		},
		"a destination by name": func(p *parts) {
			p.gate.Domains = []policy.Domain{{Name: "example.com", Connector: "organization"}, {Name: "*.example.org", Connector: "organization"}}
			p.table(routing.Site{Accepted: policy.Destinations(p.gate.Domains...)}, routing.Connector{Name: "organization", SmartHosts: routing.SmartHosts("192.0.2.9")})
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := newParts(t, change).Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

type submitter struct{ *queue.Queue }

// Warnings do not stop the relay. Run logs them, and Check returns them.
func TestWarnings(t *testing.T) {
	for name, tt := range map[string]struct {
		change        func(*parts)
		subject, want string
	}{
		"an expired certificate": {func(p *parts) {
			p.srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate(t, "relay.example.com", time.Now().Add(-time.Hour))}}
		}, "Listeners[0].Server.TLSConfig.Certificates[0]", "has expired"},
		"a certificate of the future": {func(p *parts) {
			p.srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate(t, "relay.example.com", time.Now().Add(48*time.Hour))}}
		}, "Listeners[0].Server.TLSConfig.Certificates[0]", "not valid yet"},
		"a certificate for another name": {func(p *parts) {
			p.srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate(t, "www.example.com", time.Now().Add(time.Hour))}}
		}, "Listeners[0].Server.TLSConfig", "no certificate is for the Hostname relay.example.com"},
		"a certificate without names": {func(p *parts) {
			p.srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate(t, "", time.Now().Add(time.Hour))}}
		}, "Listeners[0].Server.TLSConfig", "they have no DNS names (subjectAltName)"},
		"our own name": {func(p *parts) {
			p.gate.Domains[0].Name = "relay.example.com"
			p.table(routing.Site{Accepted: policy.Destinations(p.gate.Domains...)})
		}, "Listeners[0].Server: Gate.Domains[0]", "5.4.8"},
		"an accepted domain by DNS": {func(p *parts) {
			p.gate.Domains = []policy.Domain{{Name: "example.org"}}
		}, "Listeners[0].Server: Gate.Domains[0]", "5.4.6"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newParts(t, tt.change)
			if err := p.Validate(); err != nil {
				t.Error(err)
			}
			run(t, p.Gateway)
			if log := p.log.String(); !strings.Contains(log, "WARN") || !strings.Contains(log, tt.want) {
				t.Errorf("log:\n%s", log)
			}
		})
	}
}
