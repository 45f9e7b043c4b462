package main

import (
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// customer has the settings of this gateway.
type customer struct {
	provider, method, user, passwordFile, roots, server string
	schedule, listen                                    string
	domains                                             program.List
	every                                               time.Duration
}

// Define implements program.Gateway.
func (c *customer) Define(f *flag.FlagSet) {
	f.StringVar(&c.provider, "provider", "", "`host[:port]` of the provider; required. The default port is 25")
	f.StringVar(&c.method, "method", "atrn", "`method` that requests the mail: atrn or etrn")
	f.StringVar(&c.user, "user", "", "`account` at the provider; required")
	f.StringVar(&c.passwordFile, "password-file", "", "`file` whose first line is the password of -user; required")
	f.StringVar(&c.roots, "roots", "", "PEM `file` of the authorities that may have signed the provider's certificate; default:\nthose of the system")
	f.Var(&c.domains, "domains", "`domains` of the office, separated by commas; required")
	f.StringVar(&c.server, "server", "", "`host[:port]` of the office's mail server, a name or an address; required. The default port is 25")
	f.DurationVar(&c.every, "every", 15*time.Minute, "`time` between two requests, as 10m; at least 1s")
	f.StringVar(&c.schedule, "schedule", "always", "`times` when mail is requested, in local time, as \"Mon-Fri 07:00-19:00; Sat 08:00-12:00\"")
	f.StringVar(&c.listen, "listen", "", "`address` to listen on, as :25; required with etrn, default: no listener")
}

func (c *customer) check(k *program.Kit) {
	k.Require("provider", c.provider != "")
	k.Require("user", c.user != "")
	k.Require("password-file", c.passwordFile != "")
	k.Require("domains", len(c.domains) > 0)
	k.Require("server", c.server != "")
	if c.every < time.Second {
		k.Fault("every", fmt.Errorf("%v is less than one second", c.every))
	}
	// The task that requests mail is made at the start.
	k.Fixed("provider", "method", "user", "password-file", "roots", "domains", "every", "schedule")
}

func (c *customer) fetchMethod(k *program.Kit) routing.FetchMethod {
	switch {
	case c.method == "atrn":
		return routing.FetchATRN
	case c.method != "etrn":
		k.Fault("method", fmt.Errorf("%q is neither atrn nor etrn", c.method))
	case c.listen == "":
		k.Fault("listen", errors.New("is required with etrn"))
	}
	return routing.FetchETRN
}
