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
	schedule, listen, sendSchedule                      string
	domains                                             program.List
	every                                               time.Duration
	allow                                               program.Networks
	etrnAfterSend                                       bool

	kept *kept
}

// onDemand is the value of -schedule and -send-schedule for mail that waits for a
// request.
const onDemand = "on-demand"

// Define implements program.Gateway.
func (c *customer) Define(f *flag.FlagSet) {
	f.StringVar(&c.provider, "provider", "", "`host[:port]` of the provider; required. The default port is 25")
	f.StringVar(&c.method, "method", "atrn", "`method` that requests the mail: atrn, etrn, turn, or none for a relay that only sends")
	f.StringVar(&c.user, "user", "", "`account` at the provider; required")
	f.StringVar(&c.passwordFile, "password-file", "", "`file` whose first line is the password of -user; required")
	f.StringVar(&c.roots, "roots", "", "PEM `file` of the authorities that may have signed the provider's certificate; default:\nthose of the system")
	f.Var(&c.domains, "domains", "`domains` of the office, separated by commas; required")
	f.StringVar(&c.server, "server", "", "`host[:port]` of the office's mail server, a name or an address; required. The default port is 25")
	f.DurationVar(&c.every, "every", 15*time.Minute, "`time` between two requests, as 10m; at least 1s")
	f.StringVar(&c.schedule, "schedule", "always", "`times` when mail is requested, in local time, as \"Mon-Fri 07:00-19:00; Sat 08:00-12:00\";\non-demand: only after SIGUSR1")
	f.StringVar(&c.listen, "listen", "", "`address` to listen on, as :25; required with etrn and -allow, default: no listener")
	f.Var(&c.allow, "allow", "`networks` of the office's hosts, which may send mail to any domain, as 10.0.0.0/24; default: none")
	f.StringVar(&c.sendSchedule, "send-schedule", "always", "`times` when mail is sent to the provider, as in -schedule; on-demand: only after SIGUSR1, a\nretry by relayctl, or a start with -retry-now, which also send mail outside these times")
	f.BoolVar(&c.etrnAfterSend, "etrn-after-send", false, "also request mail by ETRN on each connection that has just sent mail to the provider")
}

func (c *customer) check(k *program.Kit) {
	k.RequireHost("provider", c.provider)
	k.Require("user", c.user != "")
	k.Require("password-file", c.passwordFile != "")
	k.Require("domains", len(c.domains) > 0)
	k.RequireHost("server", c.server)
	switch {
	case c.listen != "":
	case len(c.allow) > 0:
		k.Fault("listen", errors.New("is required with -allow"))
	case c.etrnAfterSend:
		k.Fault("listen", errors.New("is required with -etrn-after-send: the provider connects to it"))
	}
	if c.every < time.Second {
		k.Fault("every", fmt.Errorf("%v is less than one second", c.every))
	}
	// The task that requests mail is made at the start.
	k.Fixed("provider", "method", "user", "password-file", "roots", "domains", "every", "schedule")
}

func (c *customer) fetchMethod(k *program.Kit) routing.FetchMethod {
	switch c.method {
	case "atrn":
		return routing.FetchATRN
	case "turn":
		return routing.FetchTURN
	case "etrn":
		if c.listen == "" {
			k.Fault("listen", errors.New("is required with etrn"))
		}
	case "none":
	default:
		k.Fault("method", fmt.Errorf("%q is not atrn, etrn, turn or none", c.method))
	}
	return routing.FetchETRN
}

// parseSchedule parses a schedule. It is nil for on-demand.
func parseSchedule(k *program.Kit, setting, text string) *routing.Schedule {
	if text == onDemand {
		return nil
	}
	s, err := routing.ParseSchedule(text, nil)
	k.Fault(setting, err)
	return s
}
