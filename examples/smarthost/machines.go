package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/emersion/go-sasl"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/filter/rewrite"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// machines are the settings for machines that deviate from the standards.
type machines struct {
	listenTLS             string
	anyLogin, oldTLS      bool
	earlyInput            bool
	bareLF                program.Networks
	defaultDomain, sender string
	keep                  program.List
}

func (m *machines) define(f *flag.FlagSet) {
	f.StringVar(&m.listenTLS, "listen-tls", "", "second `address` to listen on, where TLS begins with the first byte, as :465; needs -cert;\ndefault: none")
	f.BoolVar(&m.anyLogin, "any-login", false, "offer AUTH to the machines of -allow, also without TLS, and accept every name and password,\nfor machines that send mail only after a login. Nothing is stored or logged of them")
	f.BoolVar(&m.oldTLS, "old-tls", false, "allow TLS 1.0, TLS 1.1 and RSA key exchange, for machines that have nothing better; needs\n-cert, for RSA key exchange with an RSA key")
	f.BoolVar(&m.earlyInput, "early-input", false, "accept commands before the greeting, for machines that do not wait for it")
	f.Var(&m.bareLF, "bare-lf", "`networks` in -allow whose machines end lines with LF only. They must not relay mail of others")
	f.StringVar(&m.defaultDomain, "default-domain", "", "`domain` that is added to addresses without one; default: such addresses are refused")
	f.StringVar(&m.sender, "from", "", "`address` from which all mail is sent, for an upstream that permits no other sender. The former\nauthor becomes Reply-To. It is also the default of -report-from and -report-sender")
	f.Var(&m.keep, "from-keep", "`senders` that -from does not change, as alarm@example.com,example.net,*.example.org")
}

// server makes the server for the machines of -allow. Nothing in it waits for the DNS
// before the greeting: some machines give up after a second.
func (m *machines) server(k *program.Kit, name string, mode smtpserver.TLSMode, allow program.Networks, gate policy.Gate) *smtpserver.Server {
	srv := k.Server(name)
	srv.TLSMode = mode
	srv.DefaultDomain, srv.AllowEarlyInput, srv.BareLFFrom = m.defaultDomain, m.earlyInput, m.bareLF
	srv.InsecureOldTLS = m.oldTLS
	if m.anyLogin {
		srv.Auth, srv.AllowInsecureAuth = anyLogin{allow}, true
	}
	k.Install("allow", &gate, srv)
	return srv
}

// check checks the settings that depend on others.
func (m *machines) check(k *program.Kit, allow program.Networks) {
	if k.TLSConfig() == nil {
		for setting, set := range map[string]bool{"listen-tls": m.listenTLS != "", "old-tls": m.oldTLS} {
			if set {
				k.Fault(setting, errors.New("needs -cert and -key"))
			}
		}
	}
	for _, n := range m.bareLF {
		inside := func(a netip.Prefix) bool { return a.Bits() <= n.Bits() && a.Contains(n.Addr()) }
		if !slices.ContainsFunc(allow, inside) {
			k.Fault("bare-lf", fmt.Errorf("%s is not in -allow", n))
		}
	}
	if len(m.keep) > 0 && m.sender == "" {
		k.Fault("from-keep", errors.New("needs -from"))
	}
}

// rewriters returns the agents for -default-domain and -from. The senders of rules may
// send at their own upstreams, so they do not change.
func (m *machines) rewriters(k *program.Kit, rules []rule) (agents []smtpserver.Agent) {
	if m.defaultDomain != "" {
		c := &rewrite.Complete{Domain: m.defaultDomain}
		if err := c.Validate(); err != nil {
			k.Fault("default-domain", errors.New(strings.TrimPrefix(err.Error(), "rewrite: Complete.Domain: ")))
		}
		agents = append(agents, c.Agent())
	}
	if m.sender != "" {
		keep := slices.Clone(m.keep)
		for _, r := range rules {
			if r.sender != "<>" {
				keep = append(keep, r.sender)
			}
		}
		b, err := rewrite.NewMailbox(m.sender, keep...)
		if err != nil {
			k.Fault("from", errors.New(strings.TrimPrefix(err.Error(), "rewrite: ")))
			return agents
		}
		agents = append(agents, b.Agent())
	}
	return agents
}

// anyLogin accepts every login from its networks. A client that has logged in has no
// right that it did not have before. Clients of other networks cannot log in.
type anyLogin struct{ networks []netip.Prefix }

// anyone is the identity of all clients of anyLogin: the names that they give prove
// nothing.
const anyone = "any-login"

// Mechanisms implements smtpserver.Authenticator.
func (a anyLogin) Mechanisms(s *smtpserver.Session) []string {
	client, ok := s.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return nil
	}
	ip := client.AddrPort().Addr().Unmap().WithZone("") // Contains is false with a zone
	if !slices.ContainsFunc(a.networks, func(n netip.Prefix) bool { return n.Contains(ip) }) {
		return nil
	}
	return []string{"LOGIN", "PLAIN", "CRAM-MD5"}
}

// Start implements smtpserver.Authenticator.
func (a anyLogin) Start(_ context.Context, s *smtpserver.Session, mechanism string) (sasl.Server, error) {
	challenges := map[string][]string{
		"LOGIN":    {"Username:", "Password:"},
		"PLAIN":    {""},
		"CRAM-MD5": {"<1@" + s.Hostname() + ">"},
	}[mechanism]
	return &anyExchange{s, challenges}, nil
}

// An anyExchange sends its challenges, and accepts each response.
type anyExchange struct {
	session    *smtpserver.Session
	challenges []string // that have no response yet
}

// Next implements sasl.Server. An initial response is the response to the first
// challenge.
func (e *anyExchange) Next(response []byte) (challenge []byte, done bool, err error) {
	if response != nil {
		e.challenges = e.challenges[1:]
	}
	if len(e.challenges) == 0 {
		e.session.SetIdentity(anyone)
		return nil, true, nil
	}
	return []byte(e.challenges[0]), false, nil
}
