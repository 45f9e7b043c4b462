package main

import (
	"errors"
	"flag"
	"fmt"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
)

// merger has the settings of this gateway.
type merger struct {
	listen              string
	ours, ourServer     string
	theirs, theirServer string
	recipients, names   string
	share, aliases      string
	ldap                ldapSettings
	primary             bool
	allow               program.Networks
	port                int
}

// Define implements program.Gateway.
func (m *merger) Define(f *flag.FlagSet) {
	f.StringVar(&m.listen, "listen", ":25", "`address` to listen on, as :25 or 10.1.0.25:25")
	f.StringVar(&m.ours, "ours", "", "our `domain`, which their system may share; required")
	f.StringVar(&m.ourServer, "our-server", "", "`host[:port]` of our mail system; required. The default port is 25")
	f.StringVar(&m.recipients, "recipients", "", "`file` with the mailboxes on our system, one address a line; read again when it changes;\nrequired without -ldap")
	f.StringVar(&m.theirs, "theirs", "", "their `domain`; required")
	f.StringVar(&m.theirServer, "their-server", "", "`host[:port]` of their mail system; required. The default port is 25")
	f.StringVar(&m.share, "share", "none", "which `addresses` in our domain are on their system: none, names (those of -names) or\nunresolved (all that are not in -recipients)")
	f.StringVar(&m.names, "names", "", "`file` with their mailboxes in our domain, one address a line; read again when it changes;\nrequired with -share names")
	f.StringVar(&m.aliases, "aliases", "", "`file` with aliases, contacts and lists, as \"info@example.com: alice@example.com, bob@example.com\";\nread again when it changes")
	m.ldap.define(f)
	f.BoolVar(&m.primary, "primary", false, "replace the sender's address by the primary address of its mailbox in mail of the networks of -allow;\nneeds -ldap")
	f.Var(&m.allow, "allow", "`networks` of both systems' servers, which may send mail to any domain, as 10.1.0.5,10.9.0.5;\ndefault: none")
	f.IntVar(&m.port, "port", 25, "TCP `port` of the MX hosts; another value than 25 is for tests")
}

func (m *merger) check(k *program.Kit) {
	k.Require("ours", m.ours != "")
	k.RequireHost("our-server", m.ourServer)
	k.Require("recipients", m.recipients != "" || len(m.ldap.urls) > 0)
	m.ldap.check(k)
	if m.primary && len(m.ldap.urls) == 0 {
		k.Fault("primary", errors.New("needs -ldap"))
	}
	k.Require("theirs", m.theirs != "")
	k.RequireHost("their-server", m.theirServer)
	switch {
	case m.share != "none" && m.share != "names" && m.share != "unresolved":
		k.Fault("share", fmt.Errorf("%q is not none, names or unresolved", m.share))
	case (m.share == "names") != (m.names != ""):
		k.Fault("names", errors.New("is required with -share names and allowed only there"))
	}
}
