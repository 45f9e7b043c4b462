package routing

import (
	"context"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"sync"

	"github.com/miekg/dns"

	"github.com/bridgehead-mail/bridgehead/smtpclient/dane"
)

// maxAddrs bounds the addresses of one host.
const maxAddrs = 20

// A hostAnswer is what the DNS says about a host's addresses.
type hostAnswer struct {
	addrs     []netip.AddrPort
	canonical string // the end of the chain of aliases, or the name itself
	secure    bool   // all of it was authenticated
}

// addresses looks up AAAA and A at the same time. What one of them lacks the
// other makes up for. The order within each family is shuffled: our cache would
// otherwise undo the round robin of the servers.
func (f *finder) addresses(ctx context.Context, name string) (*hostAnswer, error) {
	var answers [2]*Answer
	var errs [2]error
	var wg sync.WaitGroup
	for i, qtype := range []uint16{dns.TypeAAAA, dns.TypeA} {
		wg.Go(func() { answers[i], errs[i] = f.resolver.Lookup(ctx, name, qtype) })
	}
	wg.Wait()

	h := &hostAnswer{canonical: name, secure: true}
	for _, a := range answers {
		if a == nil {
			continue
		}
		h.secure = h.secure && a.Secure
		h.canonical = a.Name
		h.add(a.Records, f.port)
	}
	if len(h.addrs) > 0 {
		return h, nil
	}
	return nil, noAddress(name, errs[0], errs[1])
}

func (h *hostAnswer) add(records []dns.RR, port uint16) {
	at := len(h.addrs)
	for _, rr := range records {
		var a netip.Addr
		switch rr := rr.(type) {
		case *dns.A:
			a, _ = netip.AddrFromSlice(rr.A.To4())
		case *dns.AAAA:
			a, _ = netip.AddrFromSlice(rr.AAAA.To16())
		}
		if a = a.Unmap(); isHost(a) {
			h.addrs = append(h.addrs, netip.AddrPortFrom(a, port))
		}
	}
	fresh := h.addrs[at:]
	rand.Shuffle(len(fresh), func(i, j int) { fresh[i], fresh[j] = fresh[j], fresh[i] })
	h.addrs = h.addrs[:at+min(len(fresh), maxAddrs/2)]
}

// isHost says whether an address can be that of a host. The unspecified one
// leads to this host itself.
func isHost(a netip.Addr) bool { return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() }

// noAddress is the error for a host of which neither family was found: the
// temporary one of the two where there is one.
func noAddress(name string, errs ...error) error {
	result := error(dnsError(NoRecord, name, dns.TypeA, "nor AAAA"))
	for _, err := range errs {
		var e *DNSError
		switch {
		case err == nil || errors.As(err, &e) && e.Problem == NoRecord:
		case e == nil || e.Temporary():
			return err
		default:
			result = err
		}
	}
	return result
}

// tlsa finds the TLSA records that a host must match: at its canonical name
// first, and then at the name that the MX record has (RFC 7672, 2.2.2, 2.2.3).
// It returns nil where DANE does not apply, and an Answer with Err where a
// lookup failed that would have told: the host must not be used then (2.1.1).
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
		// The alias leads out of the signed part; the alias itself may still
		// be authentic.
		a, err := f.resolver.Lookup(ctx, name, dns.TypeCNAME)
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
		a, err := f.resolver.Lookup(ctx, tlsaName(base, f.port), dns.TypeTLSA)
		switch {
		case absent(err):
		case err != nil:
			return &dane.Answer{Err: err}
		case a.Secure: // others may be forged
			names := append([]string{base}, domains...)
			if base != name {
				names = append(names, name)
			}
			return &dane.Answer{Records: tlsaRecords(a.Records), Names: names}
		}
	}
	return nil
}

// absent says whether err means that there is no such record. Every other
// error, also an alias without an end, leaves that open.
func absent(err error) bool {
	var e *DNSError
	return errors.As(err, &e) && (e.Problem == NoRecord || e.Problem == NoSuchName || e.Problem == BadName)
}

// tlsaName is the name of the TLSA records of a host and port (RFC 6698, 3).
func tlsaName(base string, port uint16) string {
	return "_" + strconv.Itoa(int(port)) + "._tcp." + base
}

func tlsaRecords(rrs []dns.RR) []dane.Record {
	var records []dane.Record
	for _, rr := range rrs {
		if t, is := rr.(*dns.TLSA); is {
			data, err := hex.DecodeString(t.Certificate)
			if err == nil {
				records = append(records, dane.Record{Usage: t.Usage, Selector: t.Selector, Matching: t.MatchingType, Data: data})
			}
		}
	}
	return records
}
