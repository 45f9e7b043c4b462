package policy

import "net/netip"

// Limits on relay networks: the widest network that an organization can have,
// and the total of all its networks, which is sixteen times as much.
const (
	widest4, widestTotal4 = 8, 1 << 28  // 10.0.0.0/8 is private; the total in addresses
	widest6, widestTotal6 = 19, 1 << 49 // the largest providers have a /19; the total in /64s
)

// private6 are the private networks of IPv6, which may be of any width: RFC
// 4193, RFC 4291, 2.5.6.
var private6 = []netip.Prefix{netip.MustParsePrefix("fc00::/7"), netip.MustParsePrefix("fe80::/10")}

// mapped are IPv6 networks that contain every IPv4 address, directly after the
// prefix: 6to4 (RFC 3056), NAT64 (RFC 6052, 2.1).
var mapped = []netip.Prefix{netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("64:ff9b::/96")}

// teredo gives addresses to all hosts behind a NAT, after the bits of a server
// (RFC 4380, 4).
var teredo = netip.MustParsePrefix("2001::/32")

// tooWide reports whether a network is wider than any organization has.
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

// wideNetworks calls open for each network that is too wide, and if all of
// them together are too many. Overlapping networks are counted twice, which
// does not matter in practice.
func wideNetworks(networks []netip.Prefix, open func(format string, args ...any)) {
	var total4, total6 uint64
	for _, p := range networks {
		if !p.IsValid() {
			continue // an error of its own
		}
		q := unmapPrefix(p)
		switch {
		case tooWide(p):
			open("relay network %v contains a large part of the internet", p)
		case q.Addr().Is4():
			total4 += 1 << (32 - q.Bits())
		case !isPrivate6(q):
			total6 += 1 << max(64-q.Bits(), 0)
		}
	}
	if total4 > widestTotal4 {
		open("relay networks contain %d IPv4 addresses in total, a large part of the internet", total4)
	}
	if total6 > widestTotal6 {
		open("relay networks contain %d IPv6 /64 networks in total, a large part of the internet", total6)
	}
}
