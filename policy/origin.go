package policy

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/header"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// maxOriginHops limits how many Received fields are read.
const maxOriginHops = 30

// OriginIP returns the address from which a message came to the organization.
// This is the client's address, or, if the client is one of the organization's
// own relays (internal), the address that those relays wrote into their
// Received fields. Block lists and SPF must check that address. Otherwise they
// check the address of the internal relay, which is the wrong one.
//
// OriginIP reads at most 30 Received fields, and only those that internal hosts
// wrote. It stops at the first field that names a client outside internal, and
// returns the address of that client. The second result is false if the origin
// is not known, because the message comes from inside or a field cannot be
// read.
func OriginIP(s *smtpserver.Session, m *smtpserver.Message, internal *Networks) (netip.Addr, bool) {
	ip, _ := origin(s, m, internal)
	return ip, ip.IsValid()
}

// Origin returns a function that finds the same address as [OriginIP], and the
// HELO name of the host at that address. Use it for spf.Checker.Origin. If the
// origin is not known, the address is not valid.
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

// fromClause returns the address of the client in a Received field. The
// address is in the comment after the HELO name, which is not trusted: "from
// helo (name [192.0.2.1])", "([192.0.2.1])", "(192.0.2.1)". Exim writes the
// claims of the client after the address: "([192.0.2.1] helo=name)", "from
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

// cutComment finds the first comment at the start of a word. A parenthesis
// within a word is part of the HELO name.
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

// isClaim reports whether Exim quotes the client in this word.
func isClaim(word string) bool {
	return strings.HasPrefix(word, "helo=") || strings.HasPrefix(word, "ident=")
}

// literalIn returns the address literal at the start of s.
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
