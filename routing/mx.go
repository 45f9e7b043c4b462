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

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/resolver"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

const (
	// maxHosts is the maximum number of MX hosts of a domain. A Transport
	// tries only a few addresses.
	maxHosts = 10
	// maxLookups is the maximum number of MX hosts whose addresses are looked
	// up, to find usable hosts and to find this relay among them.
	maxLookups = 100
)

// A finder finds the hosts of one domain or smart host, for one connector.
type finder struct {
	resolver Resolver
	port     uint16
	strict   bool                      // Router.StrictMX
	smart    bool                      // the operator configured the host
	isName   func(string) bool         // the names of this relay
	isAddr   func(netip.AddrPort) bool // the addresses of this relay
}

func (f *finder) lookup(ctx context.Context, name string, t RecordType) (*Answer, error) {
	return lookup(ctx, f.resolver, name, t)
}

// An exchanger is the host of an MX record, or the domain itself.
type exchanger struct {
	smtpclient.Host
	pref uint16
	err  error // why it cannot be used
	ours bool  // the host is this relay
}

// domain finds the hosts for a recipient domain (RFC 5321, 5.1), in order of
// preference. Hosts of equal preference are shuffled. If this relay is among
// the hosts, only hosts with a better preference are returned.
func (f *finder) domain(ctx context.Context, domain string) ([]smtpclient.Host, error) {
	if strings.HasPrefix(domain, "[") {
		return f.literal(domain)
	}
	xs, own, err := f.exchangers(ctx, domain)
	if err != nil {
		return nil, err
	}
	hosts := make([]smtpclient.Host, 0, len(xs))
	var errs []error
	for _, x := range xs {
		switch {
		case int(x.pref) >= own: // RFC 5321, 5.1: such a host would send the mail back
			reportSkipped(ctx, x.Host, &LoopError{Domain: domain})
		case x.err != nil:
			errs = append(errs, x.err)
			reportSkipped(ctx, x.Host, x.err)
		default:
			hosts = append(hosts, x.Host)
		}
	}
	switch {
	case len(hosts) > 0:
		return hosts[:min(len(hosts), maxHosts)], nil
	case len(errs) == 0:
		return nil, &LoopError{Domain: domain}
	}
	return nil, noHost(domain, errs)
}

// noPref means that this relay is not among the hosts. It is worse than any
// preference.
const noPref = 1 << 16

// exchangers looks up the MX records and the addresses of the hosts. own is
// the best preference of this relay among them, or noPref.
func (f *finder) exchangers(ctx context.Context, domain string) (xs []exchanger, own int, err error) {
	answer, err := f.lookup(ctx, domain, TypeMX)
	if noRecord(err) {
		implicit := exchanger{Host: smtpclient.Host{Name: domain}}
		xs, own = f.resolveInOrder(ctx, []exchanger{implicit}, true, nil)
		return xs, own, nil
	}
	if err != nil {
		return nil, noPref, err
	}
	xs = readMX(answer)
	if len(xs) == 0 {
		return nil, noPref, dnsError(NullMX, domain, TypeMX, "")
	}
	names := []string{domain}
	if answer.Name != "" && answer.Name != domain {
		names = append(names, answer.Name)
	}
	xs, own = f.resolveInOrder(ctx, xs, answer.Secure, names)
	return xs, own, nil
}

// resolveInOrder looks up MX hosts until maxHosts are usable. It returns
// these, the unusable ones before them, and the first of those that are no
// better than this relay. Hosts of equal preference are looked up together,
// because they are usable only if this relay is not one of them, by its name
// or by an address (RFC 5321, 5.1). own is as for exchangers.
func (f *finder) resolveInOrder(ctx context.Context, xs []exchanger, secure bool, names []string) (_ []exchanger, own int) {
	own = noPref
	if i := slices.IndexFunc(xs, func(x exchanger) bool { return f.isName(x.Name) }); i >= 0 {
		own = int(xs[i].pref)
	}
	limit := len(xs) // hosts with a better preference, according to the names
	if i := slices.IndexFunc(xs, func(x exchanger) bool { return int(x.pref) >= own }); i >= 0 {
		limit = i
	}
	looked, usable := 0, 0
	for most := min(limit, maxLookups); looked < most && usable < maxHosts && own > int(xs[looked].pref); {
		end := min(looked+maxHosts, most)
		for end < most && xs[end].pref == xs[end-1].pref {
			end++
		}
		batch := xs[looked:end]
		var wg sync.WaitGroup
		for i := range batch {
			wg.Go(func() { f.resolve(ctx, &batch[i], secure, names) })
		}
		wg.Wait()
		looked = end
		for _, x := range batch {
			if x.ours {
				own = min(own, int(x.pref))
			} else if x.err == nil {
				usable++
			}
		}
	}
	return slices.Concat(xs[:looked], xs[limit:min(limit+maxHosts, len(xs))]), own
}

// readMX returns the MX records in order. A null MX (RFC 7505) is left out.
func readMX(a *Answer) []exchanger {
	xs := make([]exchanger, 0, len(a.MX))
	for _, mx := range a.MX {
		if name := addr.Lower(strings.TrimSuffix(mx.Host, ".")); name != "" {
			x := exchanger{Host: smtpclient.Host{Name: name, Preference: int(mx.Preference)}, pref: mx.Preference}
			if _, err := addr.HostName(x.Name); err != nil {
				x.err = dnsError(BadName, x.Name, TypeMX, "")
			}
			xs = append(xs, x)
		}
	}
	rand.Shuffle(len(xs), func(i, j int) { xs[i], xs[j] = xs[j], xs[i] })
	slices.SortStableFunc(xs, func(a, b exchanger) int { return cmp.Compare(a.pref, b.pref) })
	return xs
}

// resolve finds a host's addresses. If all answers so far were authenticated,
// it also finds the TLSA records. names are the domains to which the MX record
// belongs.
func (f *finder) resolve(ctx context.Context, x *exchanger, secure bool, names []string) {
	if x.err != nil { // its name is not a host name
		return
	}
	if _, err := netip.ParseAddr(x.Name); err == nil {
		x.err = dnsError(MXAddress, x.Name, TypeMX, "")
		return
	}
	h, err := f.addresses(ctx, x.Name)
	if err != nil {
		x.err = err
		return
	}
	x.ours = slices.ContainsFunc(h.addrs, f.isAddr) || !f.smart && slices.ContainsFunc(h.addrs, isSelf)
	if f.strict && names != nil && h.canonical != x.Name {
		x.err = dnsError(MXAlias, x.Name, TypeCNAME, h.canonical)
		return
	}
	x.Addrs = h.addrs
	if !resolver.Authenticated(f.resolver) {
		secure = false // no answer will be Secure: avoid the lookups and their failures
	}
	if secure {
		x.DANE = f.tlsa(ctx, x.Name, h, names)
	}
}

// isSelf reports whether an address in the DNS can only be this relay: port 25
// on the loopback interface is no other host.
func isSelf(a netip.AddrPort) bool { return a.Addr().IsLoopback() && a.Port() == smtpPort }

// noHost returns the error if no host of a domain is usable. It is temporary
// if one of the reasons is.
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
		return first // a domain without MX that was removed between the lookups
	}
	return &DNSError{Problem: NoAddress, Name: domain, Type: TypeMX, Err: first}
}

// literal returns the host of an address literal (RFC 5321, 5.1: no lookup).
func (f *finder) literal(domain string) ([]smtpclient.Host, error) {
	a, err := parseLiteral(domain)
	if err != nil {
		return nil, &DNSError{Problem: BadName, Name: domain, Err: err}
	}
	if !isHost(a) {
		return nil, dnsError(NoAddress, domain, TypeA, "")
	}
	ap := addrPort(a, f.port)
	if f.isAddr(ap) || isSelf(ap) {
		return nil, &LoopError{Domain: domain}
	}
	return []smtpclient.Host{{Name: literal(a), Addrs: []netip.AddrPort{ap}}}, nil
}

func addrPort(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a.Unmap(), port) }
