package main

import (
	"errors"
	"flag"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// perimeter has the settings of this gateway.
type perimeter struct {
	listen     string
	domains    program.List
	bridgehead routing.SmartHost
	recipients string
	port       int
}

// Define implements program.Gateway.
func (p *perimeter) Define(f *flag.FlagSet) {
	f.StringVar(&p.listen, "listen", ":25", "`address` to listen on, as :25 or 10.1.0.25:25")
	f.Var(&p.domains, "domains", "`domains` of the organization, separated by commas; required")
	f.Func("bridgehead", "IP `address[:port]` of the organization's bridgehead; required. The default port is 25", p.setBridgehead)
	f.StringVar(&p.recipients, "recipients", "", "`file` with the organization's mailboxes, one address a line, which is read again when it changes;\ndefault: the bridgehead refuses unknown mailboxes")
	f.IntVar(&p.port, "port", 25, "TCP `port` of the MX hosts; another value than 25 is for tests")
}

// setBridgehead requires an IP address: the bridgehead is known by it.
func (p *perimeter) setBridgehead(host string) error {
	p.bridgehead.Host = host
	if _, ok := p.bridgehead.Addr(); !ok {
		return errors.New("not an IP address, with a port or without")
	}
	return nil
}
