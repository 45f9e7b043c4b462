package policy

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/header"
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
		return ip, s.RawHelo()
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
// (name [192.0.2.1])", "([192.0.2.1])", "(192.0.2.1)". Exim writes what the
// client said of itself behind the address: "([192.0.2.1] helo=name)", "from
// [192.0.2.1] (helo=name)".
func fromClause(value string) (netip.Addr, bool) {
	v := strings.TrimSpace(value)
	if len(v) < 5 || !strings.EqualFold(v[:5], "from ") {
		return netip.Addr{}, false
	}
	name, comment, ok := cutComment(v[5:])
	words := strings.Fields(comment)
	if !ok || len(words) == 0 {
		return netip.Addr{}, false
	}
	if !slices.ContainsFunc(words, func(w string) bool { return !isClaim(w) }) {
		return literalIn(strings.TrimSpace(name))
	}
	if words[0][0] == '[' {
		return literalIn(words[0])
	}
	if i := slices.IndexFunc(words[1:], isClaim); i >= 0 {
		words = words[:1+i]
	}
	comment = strings.Join(words, " ")
	if i := strings.LastIndexByte(comment, '['); i >= 0 {
		return literalIn(comment[i:])
	}
	return parseIP(comment)
}

// cutComment finds the first comment that begins a word: within one, a
// parenthesis is a part of the client's name.
func cutComment(v string) (before, comment string, ok bool) {
	for i := 1; i < len(v); i++ {
		if v[i] != '(' || strings.IndexByte(" \t\r\n", v[i-1]) < 0 {
			continue
		}
		if n := header.Comment(v[i:]); n > 0 {
			return v[:i], v[i+1 : i+n-1], true
		}
		break
	}
	return "", "", false
}

// isClaim tells what Exim quotes of the client.
func isClaim(word string) bool {
	return strings.HasPrefix(word, "helo=") || strings.HasPrefix(word, "ident=")
}

// literalIn is the address literal at the start of s.
func literalIn(s string) (netip.Addr, bool) {
	inner, closed := strings.CutPrefix(s, "[")
	if !closed {
		return netip.Addr{}, false
	}
	if inner, _, closed = strings.Cut(inner, "]"); !closed {
		return netip.Addr{}, false
	}
	return parseIP(inner)
}

func parseIP(s string) (netip.Addr, bool) {
	if len(s) > 5 && strings.EqualFold(s[:5], "IPv6:") {
		s = s[5:]
	}
	ip, err := netip.ParseAddr(s)
	return ip.Unmap().WithZone(""), err == nil
}
