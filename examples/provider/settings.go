package main

import (
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
)

// provider has the settings of this gateway.
type provider struct {
	listen, customers string
	keep              time.Duration
	port              int
}

// Define implements program.Gateway.
func (p *provider) Define(f *flag.FlagSet) {
	f.StringVar(&p.listen, "listen", ":25", "`address` to listen on, as :25 or 10.1.0.25:25")
	f.StringVar(&p.customers, "customers", "", "`file` with one line for each customer: account, password, domains and, for ETRN,\nhost[:port]; required. It is read again when it changes")
	f.DurationVar(&p.keep, "keep", 7*24*time.Hour, "queue lifetime of mail for customers, a `duration` as 168h; after it the sender gets a report")
	f.IntVar(&p.port, "port", 25, "TCP `port` of the MX hosts; another value than 25 is for tests")
}

func (p *provider) check(k *program.Kit) {
	k.Require("customers", p.customers != "")
	if k.Cert == "" || k.Key == "" {
		k.Fault("cert", errors.New("-cert and -key are required: passwords are sent only over TLS"))
	}
	k.Fixed("keep")
	if p.keep <= 0 {
		k.Fault("keep", fmt.Errorf("%v is not a queue lifetime", p.keep))
	}
}
