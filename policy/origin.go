package policy

import (
	"net/netip"
	"strings"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// maxOriginHops bounds how many Received fields OriginIP looks through.
const maxOriginHops = 30

// OriginIP is the address from which a message came to the organisation: the
// client's own, or, where the client is one of the organisation's own relays,
// the one that they have written into their Received fields. Block lists, SPF
// and the like must judge that address, else an internal firewall is blamed
// for what all the world sends through it.
//
// Only fields that trusted hosts wrote are believed: the client's, if it is
// internal, and so on until a field names a host that is not. False means
// that the origin is not known: the mail began inside, or a field cannot be
// read.
func OriginIP(s *smtpserver.Session, m *smtpserver.Message, internal *Networks) (netip.Addr, bool) {
	ip, _ := origin(s, m, internal)
	return ip, ip.IsValid()
}

// Origin makes a function that finds the address that [OriginIP] does, and the
// name that the host there gave itself: what spf.Checker has as its Origin.
// The address is not valid where the origin is not known.
func Origin(internal *Networks) func(*smtpserver.Session, *smtpserver.Message) (ip netip.Addr, helo string) {
	return func(s *smtpserver.Session, m *smtpserver.Message) (netip.Addr, string) { return origin(s, m, internal) }
}

func origin(s *smtpserver.Session, m *smtpserver.Message, internal *Networks) (netip.Addr, string) {
	ip, ok := clientIP(s)
	if !ok || !internal.Contains(ip) {
		return ip, s.Helo()
	}
	for i, value := range m.Header.Values("Received") {
		if ip, ok = fromClause(value); !ok || i == maxOriginHops {
			break
		}
		if !internal.Contains(ip) {
			helo, _, _ := strings.Cut(strings.TrimSpace(value[len("from "):]), " ")
			return ip, helo
		}
	}
	return netip.Addr{}, ""
}

// fromClause is the address of the client in a Received field. It stands in
// the comment after the client's own name, which is not believed: "from helo
// (name [192.0.2.1])", "([192.0.2.1])", "(192.0.2.1)".
func fromClause(value string) (netip.Addr, bool) {
	v := strings.TrimSpace(value)
	if len(v) < 5 || !strings.EqualFold(v[:5], "from ") {
		return netip.Addr{}, false
	}
	_, comment, ok := strings.Cut(v, "(")
	if !ok {
		return netip.Addr{}, false
	}
	if comment, _, ok = strings.Cut(comment, ")"); !ok {
		return netip.Addr{}, false
	}
	if i := strings.LastIndexByte(comment, '['); i >= 0 {
		literal, _, ok := strings.Cut(comment[i+1:], "]")
		if !ok {
			return netip.Addr{}, false
		}
		return parseIP(literal)
	}
	return parseIP(strings.TrimSpace(comment))
}

func parseIP(s string) (netip.Addr, bool) {
	if len(s) > 5 && strings.EqualFold(s[:5], "IPv6:") {
		s = s[5:]
	}
	ip, err := netip.ParseAddr(s)
	return ip.Unmap().WithZone(""), err == nil
}
