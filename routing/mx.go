package routing

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"

	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// maxHosts bounds the MX hosts that are looked at. A Transport tries few
// addresses anyway.
const maxHosts = 10

// A finder finds the hosts of one domain or smart host, for one connector.
type finder struct {
	resolver Resolver
	port     uint16
	strict   bool                      // Router.StrictMX
	smart    bool                      // the operator named the host
	isName   func(string) bool         // our own names
	isAddr   func(netip.AddrPort) bool // and addresses
}

// An exchanger is a host that an MX record names, or the domain itself.
type exchanger struct {
	smtpclient.Host
	pref uint16
	err  error // why it cannot be used
	ours bool  // it is this relay
}

// domain finds the hosts for a recipient domain (RFC 5321, 5.1): in order of
// preference, equals shuffled, only those better than ourselves.
func (f *finder) domain(ctx context.Context, domain string) ([]smtpclient.Host, error) {
	if strings.HasPrefix(domain, "[") {
		return f.literal(domain)
	}
	xs, err := f.exchangers(ctx, domain)
	if err != nil {
		return nil, err
	}
	best := -1 // our own best preference
	for _, x := range xs {
		if x.ours && (best < 0 || int(x.pref) < best) {
			best = int(x.pref)
		}
	}
	hosts := make([]smtpclient.Host, 0, len(xs))
	var errs []error
	for _, x := range xs {
		switch {
		case best >= 0 && int(x.pref) >= best: // RFC 5321, 5.1: those would send it back
			tellSkipped(ctx, x.Host, &LoopError{Domain: domain})
		case x.err != nil:
			errs = append(errs, x.err)
			tellSkipped(ctx, x.Host, x.err)
		default:
			hosts = append(hosts, x.Host)
		}
	}
	switch {
	case len(hosts) > 0:
		return hosts, nil
	case len(errs) == 0:
		return nil, &LoopError{Domain: domain}
	}
	return nil, noHost(domain, errs)
}

// exchangers looks up the MX records and all that follows from them.
func (f *finder) exchangers(ctx context.Context, domain string) ([]exchanger, error) {
	answer, err := f.resolver.Lookup(ctx, domain, dns.TypeMX)
	var dnsErr *DNSError
	if errors.As(err, &dnsErr) && dnsErr.Problem == NoRecord {
		x := exchanger{Host: smtpclient.Host{Name: domain}} // the implicit MX
		f.resolve(ctx, &x, true, nil)
		return []exchanger{x}, nil
	}
	if err != nil {
		return nil, err
	}
	xs := readMX(answer)
	if len(xs) == 0 {
		return nil, dnsError(NullMX, domain, dns.TypeMX, "")
	}
	names := []string{domain}
	if answer.Name != domain {
		names = append(names, answer.Name)
	}
	var wg sync.WaitGroup
	for i := range xs {
		wg.Go(func() { f.resolve(ctx, &xs[i], answer.Secure, names) })
	}
	wg.Wait()
	return xs, nil
}

// readMX puts MX records in order. None is left of a null MX (RFC 7505).
func readMX(a *Answer) []exchanger {
	xs := make([]exchanger, 0, len(a.Records))
	for _, rr := range a.Records {
		if mx, is := rr.(*dns.MX); is && mx.Mx != "." && mx.Mx != "" {
			name := strings.ToLower(strings.TrimSuffix(mx.Mx, "."))
			xs = append(xs, exchanger{Host: smtpclient.Host{Name: name}, pref: mx.Preference})
		}
	}
	rand.Shuffle(len(xs), func(i, j int) { xs[i], xs[j] = xs[j], xs[i] })
	slices.SortStableFunc(xs, func(a, b exchanger) int { return cmp.Compare(a.pref, b.pref) })
	return xs[:min(len(xs), maxHosts)]
}

// resolve finds a host's addresses and, where everything so far was
// authenticated, its TLSA records. names are the domains that the MX record
// belongs to.
func (f *finder) resolve(ctx context.Context, x *exchanger, secure bool, names []string) {
	if x.ours = f.isName(x.Name); x.ours {
		return
	}
	if _, err := netip.ParseAddr(x.Name); err == nil {
		x.err = dnsError(MXAddress, x.Name, dns.TypeMX, "")
		return
	}
	h, err := f.addresses(ctx, x.Name)
	if err != nil {
		x.err = err
		return
	}
	if f.strict && names != nil && h.canonical != x.Name {
		x.err = dnsError(MXAlias, x.Name, dns.TypeCNAME, h.canonical)
		return
	}
	x.ours = slices.ContainsFunc(h.addrs, f.isAddr) || !f.smart && slices.ContainsFunc(h.addrs, isSelf)
	x.Addrs = h.addrs
	if secure {
		x.DANE = f.tlsa(ctx, x.Name, h, names)
	}
}

// isSelf says whether an address that a domain publishes for its mail can only
// mean "here": nobody else listens on our loopback, port 25.
func isSelf(a netip.AddrPort) bool { return a.Addr().IsLoopback() && a.Port() == smtpPort }

// noHost sums up why no host of a domain can be used: temporary when one of
// the reasons is.
func noHost(domain string, errs []error) error {
	var first *DNSError
	for _, err := range errs {
		var e *DNSError
		if !errors.As(err, &e) || e.Temporary() {
			return err
		}
		if first == nil {
			first = e
		}
	}
	if first.Problem == MXAddress || first.Problem == MXAlias {
		return first
	}
	if first.Name == domain && first.Problem == NoSuchName {
		return first // a domain without MX that vanished in between
	}
	return &DNSError{Problem: NoAddress, Name: domain, Type: dns.TypeMX, Err: first}
}

// literal is the host of an address literal (RFC 5321, 5.1: no lookup).
func (f *finder) literal(domain string) ([]smtpclient.Host, error) {
	a, err := parseLiteral(domain)
	if err != nil {
		return nil, &DNSError{Problem: BadName, Name: domain, Err: err}
	}
	if !isHost(a) {
		return nil, dnsError(NoAddress, domain, dns.TypeA, "")
	}
	ap := addrPort(a, f.port)
	if f.isAddr(ap) || isSelf(ap) {
		return nil, &LoopError{Domain: domain}
	}
	return []smtpclient.Host{{Name: literal(a), Addrs: []netip.AddrPort{ap}}}, nil
}

func addrPort(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a.Unmap(), port) }
