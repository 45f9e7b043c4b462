package resolver

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

const (
	reverse4 = ".in-addr.arpa" // RFC 1035, 3.5
	reverse6 = ".ip6.arpa"     // RFC 3596, 2.5
)

// ReverseName returns the name of the PTR records of an address.
func ReverseName(ip netip.Addr) string {
	ip = ip.Unmap()
	octets := ip.AsSlice()
	b := make([]byte, 0, 74)
	for i := len(octets) - 1; i >= 0; i-- {
		if ip.Is4() {
			b = fmt.Appendf(b, "%d.", octets[i])
		} else {
			b = fmt.Appendf(b, "%x.%x.", octets[i]&15, octets[i]>>4)
		}
	}
	if ip.Is4() {
		return string(b) + reverse4[1:]
	}
	return string(b) + reverse6[1:]
}

// reverseAddr returns the address whose ReverseName is name.
func reverseAddr(name string) (ip netip.Addr, ok bool) {
	name = strings.ToLower(name)
	if head, is := strings.CutSuffix(name, reverse4); is {
		ip, ok = parseReverse(head, 4, 10, 8)
	} else if head, is := strings.CutSuffix(name, reverse6); is {
		ip, ok = parseReverse(head, 32, 16, 4)
	}
	return ip, ok && ReverseName(ip) == name
}

// parseReverse parses n labels, each a number of some bits, the last one first.
func parseReverse(text string, n, base, bits int) (netip.Addr, bool) {
	labels := strings.Split(text, ".")
	if len(labels) != n {
		return netip.Addr{}, false
	}
	octets := make([]byte, n*bits/8)
	for i, label := range labels {
		v, err := strconv.ParseUint(label, base, bits)
		if err != nil {
			return netip.Addr{}, false
		}
		at := (n - 1 - i) * bits
		octets[at/8] |= byte(v) << (8 - bits - at%8)
	}
	return netip.AddrFromSlice(octets)
}
