package smtpclient

import (
	"context"
	"crypto/tls"
)

// Probe opens a session with every address of every host of dst, one after
// the other, and reports what came of each, without sending mail. The error
// is that of dst.Hosts.
func (t *Transport) Probe(ctx context.Context, dst *Destination) ([]Probe, error) {
	all, err := t.candidates(ctx, dst)
	var probes []Probe
	for i := range all {
		tg := &all[i]
		p := Probe{Host: tg.host.Name, Addr: tg.addr, Policy: tg.security.policy, Err: tg.err}
		if tg.err == nil {
			t.conns.begin(tg.addr)
			c, err := t.open(ctx, dst, tg)
			p.Err = err
			if c != nil {
				p.Greeting, p.Extensions, p.TLS = c.Greeting(), c.Extensions(), c.TLS()
				c.Quit(ctx)
			}
		}
		probes = append(probes, p)
	}
	return probes, err
}

// A Probe is what a connection to one address brought.
type Probe struct {
	Host       string
	Addr       string            // IP address and port, or socket
	Greeting   string            // the 220 line's text
	Extensions map[string]string // EHLO keywords (upper case) and their parameters, after TLS where there is TLS
	TLS        *tls.ConnectionState
	Policy     string // the TLS policy that applied, as text: "opportunistic", "dane", "mta-sts", ...
	Err        error  // why a message could not be sent there; nil when it could
}
