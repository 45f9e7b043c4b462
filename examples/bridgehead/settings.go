package main

import (
	"errors"
	"flag"
	"fmt"
	"strings"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// bridgehead has the settings of this gateway.
type bridgehead struct {
	listen, partner, space string
	user, passwordFile     string // of this gateway at the partner
	roots                  string
	members                program.List
	priorities             program.List // of the partner's mail; empty: all
	headerPriority         bool
	port                   int
}

// Define implements program.Gateway.
func (b *bridgehead) Define(f *flag.FlagSet) {
	f.StringVar(&b.listen, "listen", ":25", "`address` to listen on, as :25 or 10.1.0.25:25")
	f.Var(&b.members, "member", "`domain=address[:port]` of a member server: the domain of its mailboxes and its IP address. The\ndefault port is 25. Repeat the flag for each member; at least one is required")
	f.StringVar(&b.partner, "partner", "", "`host[:port]` that takes all mail for -partner-domains; required. The default port is 25")
	f.StringVar(&b.space, "partner-domains", "*.mil", "address `space` of the partner, as *.example.net or example.net")
	f.StringVar(&b.roots, "partner-roots", "", "PEM `file` of the authorities that may have signed the partner's certificate; default: those of\nthe system")
	f.StringVar(&b.user, "partner-user", "", "`account` of this gateway at the partner; needs -partner-password-file; default: none")
	f.StringVar(&b.passwordFile, "partner-password-file", "", "`file` whose first line is the password of -partner-user")
	f.Var(&b.priorities, "partner-priorities", "`priorities` of the mail that the partner gets: high, normal, low. Other mail for it is refused with\na report; default: all")
	f.BoolVar(&b.headerPriority, "partner-header-priority", false, "find the priority also in the header of a message (Importance, X-Priority, Priority), if its\nMT-PRIORITY is 0; needs -partner-priorities")
	f.IntVar(&b.port, "port", 25, "TCP `port` of the MX hosts; another value than 25 is for tests")
}

// A member is a server of the organization. It has an IP address, not a name:
// it is known by the address.
type member struct {
	domain string
	server routing.SmartHost
}

// check checks the settings and returns the members.
func (b *bridgehead) check(k *program.Kit) (members []member) {
	k.Require("member", len(b.members) > 0)
	k.RequireHost("partner", b.partner)
	k.Space("partner-domains", b.space)
	if (b.user == "") != (b.passwordFile == "") {
		k.Fault("partner-user", errors.New("and -partner-password-file are required together"))
	}
	if b.headerPriority && len(b.priorities) == 0 {
		k.Fault("partner-header-priority", errors.New("needs -partner-priorities"))
	}
	for _, text := range b.members {
		domain, host, _ := strings.Cut(text, "=")
		m := member{domain, routing.SmartHost{Host: host}}
		if _, ok := m.server.Addr(); !ok || domain == "" {
			k.Fault("member", errors.New(text+" is not domain=address"))
			continue
		}
		members = append(members, m)
	}
	return members
}

// accepted returns the priorities of the mail that the partner gets.
func (b *bridgehead) accepted(k *program.Kit) (all routing.Priorities) {
	known := map[string]routing.Priorities{"high": routing.HighPriority, "normal": routing.NormalPriority, "low": routing.LowPriority}
	for _, word := range b.priorities {
		if known[word] == 0 {
			k.Fault("partner-priorities", fmt.Errorf("%q is not high, normal or low", word))
		}
		all |= known[word]
	}
	return all
}
