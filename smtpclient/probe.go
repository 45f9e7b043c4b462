package smtpclient

import (
	"context"
	"crypto/tls"
)

// Probe opens a session with each address of each host of dst, one after the
// other, and returns one Probe for each address. It sends no mail. The error is
// that of dst.Hosts.
func (t *Transport) Probe(ctx context.Context, dst *Destination) ([]Probe, error) {
	if dst == nil {
		return nil, errNoDestination
	}
	all, err := t.candidates(ctx, dst)
	var probes []Probe
	for i := range all {
		tg := &all[i]
		p := Probe{Host: tg.host.Name, Addr: tg.addr, Policy: tg.security.policy, Err: tg.err}
		if tg.err == nil {
			t.conns.begin(tg.addr)
			c, err := t.open(ctx, dst, tg, bounds{})
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

// A Probe is the result of a test of one address.
type Probe struct {
	// Host is the name of the host.
	Host string
	// Addr is the IP address and port, or the path of the socket.
	Addr string
	// Greeting is the text of the host's greeting (220).
	Greeting string
	// Extensions are the EHLO keywords, in upper case, with their parameters.
	// If the session uses TLS, they are those of the EHLO in TLS.
	Extensions map[string]string
	// TLS is the state of the TLS connection; nil for plain text.
	TLS *tls.ConnectionState
	// Policy is the TLS policy that applies: "opportunistic", "dane",
	// "mta-sts", ...
	Policy string
	// Err is the reason why no session can be opened; nil if one was opened.
	Err error
}
