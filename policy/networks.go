package policy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync/atomic"
	"unicode"

	"github.com/gaissmai/bart"
)

// Networks is a set of IP networks. Lookups are fast with a million networks.
// It is safe for concurrent use. A nil *Networks and the zero value are empty.
type Networks struct {
	set atomic.Pointer[networkSet] // nil is empty
}

// networkSet does not change once it is used.
type networkSet struct {
	table bart.Lite
	n     int
}

// NewNetworks returns a set of the prefixes. A prefix of IPv4-mapped addresses
// (::ffff:10.0.0.0/104) is the IPv4 network. A prefix with bits beyond its
// length (10.1.2.3/8) is an error, as in [ParseNetwork], because it may mean
// the network or the address. If there is an error, the set still has all
// valid prefixes.
func NewNetworks(prefixes ...netip.Prefix) (*Networks, error) {
	set := new(networkSet)
	var errs []error
	for _, p := range prefixes {
		if !p.IsValid() {
			errs = append(errs, fmt.Errorf("policy: network %v: not a valid prefix", p))
			continue
		}
		if err := checkHostBits(p); err != nil {
			errs = append(errs, err)
			continue
		}
		set.insert(p)
	}
	return set.networks(), errors.Join(errs...)
}

func checkHostBits(p netip.Prefix) error {
	if p != p.Masked() {
		return fmt.Errorf("policy: network %q: has bits beyond its length; the network is %v", p.String(), p.Masked())
	}
	return nil
}

func (set *networkSet) insert(p netip.Prefix) {
	set.table.Insert(unmapPrefix(p).Masked())
	set.n++
}

func (set *networkSet) networks() *Networks {
	n := new(Networks)
	n.set.Store(set)
	return n
}

// Replace replaces the networks of n by the networks of another set,
// atomically. It may be called while n is in use, so that a list can change
// without a restart.
func (n *Networks) Replace(by *Networks) {
	if by == nil {
		by = new(Networks)
	}
	n.set.Store(by.set.Load())
}

// unmapPrefix returns p in the form in which addresses are compared.
func unmapPrefix(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

// Contains reports whether the address is in one of the networks.
func (n *Networks) Contains(ip netip.Addr) bool {
	if n == nil {
		return false
	}
	set := n.set.Load()
	return set != nil && set.table.Lookup(ip.Unmap().WithZone(""))
}

// Len returns the number of prefixes that the set was made from.
func (n *Networks) Len() int {
	if n == nil || n.set.Load() == nil {
		return 0
	}
	return n.set.Load().n
}

// ReadNetworks reads a list with one entry per line: a network
// ("192.0.2.0/24"), an address, or a range ("192.0.2.7-192.0.2.19"). A # or ;
// begins a comment. The error names the line.
func ReadNetworks(r io.Reader) (*Networks, error) {
	set := new(networkSet)
	lines := bufio.NewScanner(r) // refuses lines of more than 64 KiB
	for no := 1; lines.Scan(); no++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		text, _, _ = strings.Cut(text, ";")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		ps, err := ParseNetwork(text)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", no, err)
		}
		for _, p := range ps {
			set.insert(p)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("policy: reading networks: %w", err)
	}
	return set.networks(), nil
}

// ParseNetworks parses a list of networks, addresses and ranges as in
// [ParseNetwork], separated by commas or white space: "10.1.0.0/16,
// 192.0.2.7". An empty list gives no networks.
func ParseNetworks(list string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for s := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == ',' || unicode.IsSpace(r) }) {
		ps, err := ParseNetwork(s)
		if err != nil {
			return nil, err
		}
		all = append(all, ps...)
	}
	return all, nil
}

// ParseNetwork parses a network ("192.0.2.0/24"), an address ("192.0.2.1"), or
// a range of addresses ("192.0.2.7-192.0.2.19"). A range can give several
// networks.
func ParseNetwork(s string) ([]netip.Prefix, error) {
	if first, last, ok := strings.Cut(s, "-"); ok {
		return parseRange(s, first, last)
	}
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("policy: network %q: not a prefix", s)
		}
		if err := checkHostBits(p); err != nil {
			return nil, err
		}
		return []netip.Prefix{p}, nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return nil, fmt.Errorf("policy: network %q: neither an address, nor a prefix, nor a range", s)
	}
	return []netip.Prefix{netip.PrefixFrom(a, a.BitLen())}, nil
}

func parseRange(s, first, last string) ([]netip.Prefix, error) {
	a, err1 := netip.ParseAddr(strings.TrimSpace(first))
	b, err2 := netip.ParseAddr(strings.TrimSpace(last))
	if err1 != nil || err2 != nil || a.BitLen() != b.BitLen() || a.Zone() != "" || b.Zone() != "" || b.Less(a) {
		return nil, fmt.Errorf("policy: network %q: not a range of addresses", s)
	}
	var ps []netip.Prefix
	for {
		p := widest(a, b)
		ps = append(ps, p)
		if a = lastOf(p).Next(); !a.IsValid() || b.Less(a) {
			return ps, nil
		}
	}
}

// widest returns the largest prefix that begins at a and does not end after b.
func widest(a, b netip.Addr) netip.Prefix {
	p := netip.PrefixFrom(a, a.BitLen())
	for bits := a.BitLen() - 1; bits >= 0; bits-- {
		q := netip.PrefixFrom(a, bits)
		if q.Masked().Addr() != a || b.Less(lastOf(q)) {
			break
		}
		p = q
	}
	return p
}

// lastOf returns the highest address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b) // its length is that of an address
	return a
}
