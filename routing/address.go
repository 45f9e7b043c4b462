package routing

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"sync"

	"github.com/bridgehead-mail/bridgehead/internal/resolver"
	"github.com/bridgehead-mail/bridgehead/smtpclient/dane"
)

// maxAddrs is the maximum number of addresses of one host.
const maxAddrs = 20

// A hostAnswer contains the addresses of a host.
type hostAnswer struct {
	addrs     []netip.AddrPort
	canonical string // the end of the CNAME chain, or the name itself
	secure    bool   // authenticated by DNSSEC
}

// addresses looks up AAAA and A records at the same time. It fails only if
// neither lookup yields an address. The order within each family is random.
// Name servers change the order in each answer to distribute load, but a cached
// answer always has the same order.
func (f *finder) addresses(ctx context.Context, name string) (*hostAnswer, error) {
	var answers [2]*Answer
	var errs [2]error
	var wg sync.WaitGroup
	for i, qtype := range []RecordType{TypeAAAA, TypeA} {
		wg.Go(func() { answers[i], errs[i] = f.lookup(ctx, name, qtype) })
	}
	wg.Wait()

	h := &hostAnswer{canonical: name, secure: true}
	for _, a := range answers {
		if a == nil {
			continue
		}
		h.secure = h.secure && a.Secure
		if a.Name != "" {
			h.canonical = a.Name
		}
		h.add(a.Addrs, f.port)
	}
	if len(h.addrs) > 0 {
		return h, nil
	}
	return nil, noAddress(name, errs[0], errs[1])
}

func (h *hostAnswer) add(addrs []netip.Addr, port uint16) {
	at := len(h.addrs)
	for _, a := range addrs {
		if a = a.Unmap(); isHost(a) {
			h.addrs = append(h.addrs, netip.AddrPortFrom(a, port))
		}
	}
	fresh := h.addrs[at:]
	rand.Shuffle(len(fresh), func(i, j int) { fresh[i], fresh[j] = fresh[j], fresh[i] })
	h.addrs = h.addrs[:at+min(len(fresh), maxAddrs/2)]
}

// isHost reports whether an address can be that of a host. The unspecified
// address would connect to this host itself.
func isHost(a netip.Addr) bool { return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() }

// noAddress returns the error for a host without addresses. It prefers a
// temporary error.
func noAddress(name string, errs ...error) error {
	result := error(dnsError(NoRecord, name, TypeA, "nor AAAA"))
	for _, err := range errs {
		var e *DNSError
		switch {
		case err == nil || noRecord(err):

		case !errors.As(err, &e) || e.Temporary():
			return err
		default:
			result = err
		}
	}
	return result
}

// tlsa finds the TLSA records that a host must match: first at its canonical
// name, then at the name in the MX record (RFC 7672, 2.2.2, 2.2.3). It returns
// nil if DANE does not apply. If a lookup fails and the result is unknown, it
// returns an Answer with Err, and the host must not be used (2.1.1).
func (f *finder) tlsa(ctx context.Context, name string, h *hostAnswer, domains []string) *dane.Answer {
	var bases []string
	switch {
	case h.canonical == name && h.secure:
		bases = []string{name}
	case h.canonical == name:
		return nil
	case h.secure:
		bases = []string{h.canonical, name}
	default:
		// The target of the alias is not in a signed zone. The alias itself
		// can still be authenticated.
		a, err := f.lookup(ctx, name, TypeCNAME)
		switch {
		case absent(err):
			return nil
		case err != nil:
			return &dane.Answer{Err: err}
		case !a.Secure:
			return nil
		}
		bases = []string{name}
	}
	for _, base := range bases {
		a, err := f.lookup(ctx, tlsaName(base, f.port), TypeTLSA)
		switch {
		case absent(err):
		case err != nil:
			return &dane.Answer{Err: err}
		case a.Secure: // records without DNSSEC can be forged
			names := append([]string{base}, domains...)
			if base != name {
				names = append(names, name)
			}
			return &dane.Answer{Records: tlsaRecords(a.TLSA), Names: names}
		}
	}
	return nil
}

// absent reports whether err means that the record does not exist. After any
// other error, also a CNAME loop, it may exist.
func absent(err error) bool {
	var e *DNSError
	if errors.As(err, &e) {
		return resolver.IsNotFound((*LookupError)(e))
	}
	return resolver.IsNotFound(err)
}

// noRecord reports whether err means that the record does not exist, but the
// name exists or may exist.
func noRecord(err error) bool {
	var e *DNSError
	if errors.As(err, &e) {
		return e.Problem == NoRecord || e.Problem == NotFound
	}
	return resolver.IsNotFound(err)
}

// tlsaName returns the name of the TLSA records of a host and port (RFC 6698,
// 3).
func tlsaName(base string, port uint16) string {
	return "_" + strconv.Itoa(int(port)) + "._tcp." + base
}

func tlsaRecords(tlsa []TLSA) []dane.Record {
	records := make([]dane.Record, len(tlsa))
	for i, t := range tlsa {
		records[i] = dane.Record(t)
	}
	return records
}
