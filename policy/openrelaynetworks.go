package policy

import "net/netip"

// What no organisation has: the widest network that is taken for one's own,
// and how much all of them may hold together, sixteen times as much.
const (
	widest4, widestTotal4 = 8, 1 << 28  // 10.0.0.0/8 is private; the total in addresses
	widest6, widestTotal6 = 19, 1 << 49 // the largest providers have a /19; the total in /64s
)

// private6 are the networks of IPv6 in which nobody is a stranger, however
// wide they are: RFC 4193, RFC 4291, 2.5.6.
var private6 = []netip.Prefix{netip.MustParsePrefix("fc00::/7"), netip.MustParsePrefix("fe80::/10")}

// mapped are networks of IPv6 in which each address of IPv4 has one of its
// own, right behind the prefix: 6to4 (RFC 3056), NAT64 (RFC 6052, 2.1).
var mapped = []netip.Prefix{netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("64:ff9b::/96")}

// teredo gives an address to everybody behind a NAT, after the bits that stand
// for a server (RFC 4380, 4).
var teredo = netip.MustParsePrefix("2001::/32")

// tooWide tells a network that no organisation has.
func tooWide(p netip.Prefix) bool {
	p = unmapPrefix(p)
	if p.Addr().Is4() {
		return p.Bits() < widest4
	}
	for _, m := range mapped {
		if m.Overlaps(p) && p.Bits() < m.Bits()+widest4 {
			return true
		}
	}
	if teredo.Overlaps(p) && p.Bits() <= 64 {
		return true
	}
	return p.Bits() < widest6 && !isPrivate6(p)
}

func isPrivate6(p netip.Prefix) bool {
	for _, q := range private6 {
		if q.Bits() <= p.Bits() && q.Contains(p.Addr()) {
			return true
		}
	}
	return false
}

// wideNetworks tells the networks that are too wide, or too many. Overlaps are
// counted twice: nobody lists the same 16 million addresses again and again.
func wideNetworks(networks []netip.Prefix, open func(format string, args ...any)) {
	var total4, total6 uint64
	for _, p := range networks {
		if !p.IsValid() {
			continue // an error of its own
		}
		q := unmapPrefix(p)
		switch {
		case tooWide(p):
			open("relay network %v holds a large part of the internet", p)
		case q.Addr().Is4():
			total4 += 1 << (32 - q.Bits())
		case !isPrivate6(q):
			total6 += 1 << max(64-q.Bits(), 0)
		}
	}
	if total4 > widestTotal4 {
		open("relay networks hold %d addresses of IPv4 together, a large part of the internet", total4)
	}
	if total6 > widestTotal6 {
		open("relay networks hold %d networks /64 of IPv6 together, a large part of the internet", total6)
	}
}
