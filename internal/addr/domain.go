package addr

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/bridgehead-mail/bridgehead/internal/chars"
)

// MaxDomain is the length of the longest domain, in octets and in A-labels. It
// is the longest name that the DNS allows (RFC 1035, 2.3.4: 255 octets with the
// length octets and the root label).
const MaxDomain = 253

const maxLabel = 63 // RFC 1035, 2.3.4

// Domain returns the canonical form of a domain. In this form domains are
// compared, looked up and sent to hosts without SMTPUTF8. All packages of this
// project parse domains with it:
//
//   - An ASCII label of letters, digits, hyphens and underscores is converted
//     to lower case and not changed otherwise. Labels that IDNA does not allow
//     ("r3---sn-x", "xn--a") belong to real hosts.
//   - Any other label is mapped by IDNA (UTS 46). The result must be such an
//     ASCII label.
//   - An address literal is converted to lower case, and its address to the
//     form of RFC 5952. An IPv4-mapped IPv6 address becomes the IPv4 address.
//
// A dot at the end is removed. A label has 1 to 63 octets, and a domain at most
// MaxDomain. For everything else, including the empty string, Domain returns an
// error.
func Domain(domain string) (string, error) {
	if d := strings.TrimSuffix(domain, "."); canonical(d) {
		return d, nil
	}
	if strings.HasPrefix(domain, "[") {
		ip, err := ParseLiteral(domain)
		if err != nil {
			return "", err
		}
		return literal(ip), nil
	}
	if len(domain) > 4*MaxDomain { // A-labels are never that much shorter, and IDNA needs quadratic time
		return "", fmt.Errorf("domain %q...: %w", clip(domain), errLong)
	}
	a, err := canonicalName(domain)
	if err != nil {
		return "", fmt.Errorf("domain %q: %w", clip(domain), err)
	}
	return a, nil
}

// HostName returns the canonical form of a domain, as Domain does, and an error
// for an address literal.
func HostName(name string) (string, error) {
	if strings.HasPrefix(name, "[") {
		return "", fmt.Errorf("%q is an address, not a name", clip(name))
	}
	return Domain(name)
}

var (
	errLong  = fmt.Errorf("longer than %d octets", MaxDomain)
	errUTF8  = errors.New("not UTF-8")
	errEmpty = errors.New("empty, or has an empty label")
	errLabel = fmt.Errorf("label longer than %d octets", maxLabel)
	errChars = errors.New("has a character that is not allowed in host names")
)

// canonical reports whether a name is already in canonical form, which is the
// common case.
func canonical(d string) bool {
	if len(d) > MaxDomain {
		return false
	}
	label := 0 // start of the current label
	for i := range len(d) {
		c := d[i]
		if c == '.' {
			if i == label || i-label > maxLabel {
				return false
			}
			label = i + 1
		} else if !ldh(c) || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return len(d) > label && len(d)-label <= maxLabel
}

// dots replaces the characters that IDNA treats as a full stop (UTS 46, 2.3).
var dots = strings.NewReplacer("\u3002", ".", "\uff0e", ".", "\uff61", ".")

// canonicalName maps each label separately. So a character that IDNA maps to a
// dot (U+2024) or removes (U+00AD) does not make a label boundary or an empty
// label.
func canonicalName(d string) (string, error) {
	if !utf8.ValidString(d) { // IDNA would read U+FFFD
		return "", errUTF8
	}
	var b strings.Builder
	for label := range strings.SplitSeq(strings.TrimSuffix(dots.Replace(d), "."), ".") {
		a, err := canonicalLabel(label)
		if err != nil {
			return "", err
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(a)
	}
	if b.Len() > MaxDomain {
		return "", errLong
	}
	return b.String(), nil
}

func canonicalLabel(label string) (string, error) {
	if !chars.ASCII(label) {
		var err error
		if label, err = aLabel(label); err != nil {
			return "", err
		}
	}
	switch {
	case label == "":
		return "", errEmpty
	case len(label) > maxLabel:
		return "", errLabel
	}
	for i := range len(label) {
		if !ldh(label[i]) {
			return "", errChars
		}
	}
	return Lower(label), nil
}

// toASCII maps as browsers and resolvers do. It allows underscores and
// therefore all of ASCII; canonicalLabel checks its result.
var toASCII = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false))

// aLabel maps a label that is not ASCII.
func aLabel(label string) (string, error) {
	for i := range len(label) {
		if label[i] < utf8.RuneSelf && !ldh(label[i]) {
			return "", errChars
		}
	}
	a, err := toASCII.ToASCII(label)
	if err != nil {
		return "", err
	}
	// UTS 46 has three characters that decompose to "=", "<" or ">" and a mark.
	// STD 3 forbids them in domains, so they are an error.
	if u, err := toASCII.ToUnicode(a); err != nil || strings.ContainsAny(u, "≠≮≯") {
		return "", errChars
	}
	return a, nil
}

// ParseLiteral parses an address literal, "[192.0.2.1]" or "[IPv6:2001:db8::1]"
// (RFC 5321, 4.1.3). For an IPv4-mapped IPv6 address it returns the IPv4
// address.
func ParseLiteral(s string) (netip.Addr, error) {
	inner, opened := strings.CutPrefix(s, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	text, v6 := inner, false
	if len(inner) > 5 && strings.EqualFold(inner[:5], "IPv6:") {
		text, v6 = inner[5:], true
	}
	ip, err := netip.ParseAddr(text)
	if err != nil || !opened || !closed || ip.Is4() == v6 || ip.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("%q is not an address literal", clip(s))
	}
	return ip.Unmap(), nil
}

func literal(ip netip.Addr) string {
	if ip.Is4() {
		return "[" + ip.String() + "]"
	}
	return "[ipv6:" + ip.String() + "]"
}

// ldh reports whether c is a letter, a digit, a hyphen or an underscore. Hosts
// that send mail have underscores in their names.
func ldh(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}
