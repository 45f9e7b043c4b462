package routing

import (
	"context"
	"errors"
	"net/netip"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// A SmartHostError reports that the DNS has no address for any smart host of a
// connector.
type SmartHostError struct {
	Connector string
	Permanent bool // ErrorPolicy.FailSmartHosts
	Err       error
}

func (e *SmartHostError) Error() string {
	return "connector " + e.Connector + ": no smart host found: " + e.Err.Error()
}

func (e *SmartHostError) Unwrap() error { return e.Err }

// SMTP returns the reply for the error: 4.4.0, or 5.4.0 if Permanent is set.
func (e *SmartHostError) SMTP() *smtp.SMTPError {
	r := &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 4, 0}, Message: "Smart host not found in the DNS"}
	if e.Permanent {
		r.Code, r.EnhancedCode[0] = 550, 5
	}
	return r
}

// As lets errors.As find the *smtp.SMTPError.
func (e *SmartHostError) As(target any) bool { return asSMTP(target, e) }

// smartHosts finds the addresses of a connector's smart hosts, in the order in
// which one attempt tries them. It ignores hosts that are not found if others
// are.
func (f *finder) smartHosts(ctx context.Context, c *connector) ([]smtpclient.Host, error) {
	var found []smtpclient.Host
	var errs []error
	for _, h := range balanced(c.hosts) {
		hosts, err := f.smartHost(ctx, &h)
		found = append(found, hosts...)
		if err != nil {
			errs = append(errs, err)
			reportSkipped(ctx, smtpclient.Host{Name: h.String()}, err)
		}
	}
	if len(found) > 0 {
		return found, nil
	}
	for _, err := range errs {
		var e *DNSError
		var loop *LoopError
		if errors.As(err, &loop) || !errors.As(err, &e) || e.Temporary() {
			return nil, err
		}
	}
	return nil, &SmartHostError{Connector: c.Name, Permanent: c.Errors.FailSmartHosts, Err: errors.Join(errs...)}
}

// smartHost finds the addresses of one smart host. The best MX hosts of a name
// are as good as another smart host of equal preference.
func (f *finder) smartHost(ctx context.Context, h *smartHost) ([]smtpclient.Host, error) {
	hosts, err := f.smartHostAddrs(ctx, h)
	if len(hosts) > 0 {
		best := hosts[0].Preference
		for i := range hosts {
			hosts[i].Preference += h.pref*noPref - best
		}
	}
	return hosts, err
}

func (f *finder) smartHostAddrs(ctx context.Context, h *smartHost) ([]smtpclient.Host, error) {
	g := *f
	g.port, g.smart = h.port, true
	switch {
	case h.socket != "":
		return []smtpclient.Host{{Name: "localhost", Socket: h.socket}}, nil
	case h.mx:
		hosts, err := g.domain(ctx, h.name)
		for i := range hosts {
			hosts[i].Domain = h.name
		}
		return hosts, err
	case h.addr.IsValid():
		ap := addrPort(h.addr, h.port)
		if f.isAddr(ap) {
			return nil, &LoopError{SmartHost: h.String()}
		}
		return []smtpclient.Host{{Name: h.name, Addrs: []netip.AddrPort{ap}}}, nil
	}
	// The operator configured the host, so only its address and TLSA records
	// must be authenticated (RFC 7672, 2.2.3).
	x := exchanger{Host: smtpclient.Host{Name: h.name, Domain: h.name}} // RFC 8461, 3.4
	// With split DNS, a host with the name of this relay can be another host.
	// Only the address shows whether it is this relay.
	g.resolve(ctx, &x, true, nil)
	switch {
	case x.ours:
		return nil, &LoopError{SmartHost: h.String()}
	case x.err != nil:
		return nil, x.err
	}
	return []smtpclient.Host{x.Host}, nil
}
