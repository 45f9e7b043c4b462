package spf

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// A record is a parsed policy (RFC 7208, 4.6.1).
type record struct {
	directives    []directive
	redirect, exp *modifier
}

// A directive is a qualifier and a mechanism (RFC 7208, 5).
type directive struct {
	text   string // as written in the record
	result Result // if the mechanism matches
	name   string // all, include, a, mx, ptr, ip4, ip6, exists
	domain macro  // domain-spec; nil means the current domain
	// Prefix lengths for a and mx.
	bits4, bits6 int
	network      netip.Prefix // for ip4 and ip6
}

// A modifier is redirect= or exp=.
type modifier struct {
	text   string
	domain macro
}

// isRecord reports whether a TXT record is an SPF record of version 1.
func isRecord(txt string) bool {
	const version = "v=spf1"
	return len(txt) >= len(version) && strings.EqualFold(txt[:len(version)], version) &&
		(len(txt) == len(version) || txt[len(version)] == ' ')
}

// parse parses a TXT record for which isRecord is true. A syntax error anywhere
// makes the whole record invalid (RFC 7208, 4.6). The error names the term.
func parse(txt string) (*record, error) {
	r := new(record)
	for text := range strings.SplitSeq(txt[len("v=spf1"):], " ") {
		if text == "" {
			continue
		}
		if err := r.add(text); err != nil {
			return nil, &termError{term: text, err: err}
		}
	}
	return r, nil
}

func (r *record) add(text string) error {
	// A modifier is a name and "=". A mechanism may have "=" only after ":" or "/".
	if i := strings.IndexAny(text, "=:/"); i >= 0 && text[i] == '=' {
		return r.addModifier(text, text[:i], text[i+1:])
	}
	d := directive{text: text, result: Pass}
	switch text[0] {
	case '+':
		text = text[1:]
	case '-':
		d.result, text = Fail, text[1:]
	case '~':
		d.result, text = SoftFail, text[1:]
	case '?':
		d.result, text = Neutral, text[1:]
	}
	if err := d.parse(text); err != nil {
		return err
	}
	r.directives = append(r.directives, d)
	return nil
}

func (r *record) addModifier(text, name, value string) error {
	if !isModifierName(name) {
		return errors.New("neither a mechanism nor a modifier")
	}
	var place **modifier
	switch {
	case strings.EqualFold(name, "redirect"):
		place = &r.redirect
	case strings.EqualFold(name, "exp"):
		place = &r.exp
	default: // RFC 7208, 6: unknown modifiers are ignored, if well-formed
		_, err := parseMacro(value, inExplanation)
		return err
	}
	if *place != nil {
		return errors.New("the modifier appears twice")
	}
	domain, err := parseDomainSpec(value)
	*place = &modifier{text, domain}
	return err
}

func isModifierName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !isAlpha(c) && (i == 0 || !isDigit(c) && c != '-' && c != '_' && c != '.') {
			return false
		}
	}
	return s != ""
}

// parse parses a mechanism without its qualifier.
func (d *directive) parse(text string) (err error) {
	name, rest := text, ""
	if i := strings.IndexAny(text, ":/"); i >= 0 {
		name, rest = text[:i], text[i:]
	}
	d.name = strings.ToLower(name)
	switch d.name {
	case "all":
		if rest != "" {
			return errors.New("the mechanism \"all\" must not have an argument")
		}
	case "include", "exists":
		if !strings.HasPrefix(rest, ":") {
			return errors.New("the domain is missing")
		}
		d.domain, err = parseDomainSpec(rest[1:])
	case "ptr":
		if rest != "" {
			d.domain, err = parseOptionalDomain(rest)
		}
	case "a", "mx":
		rest, d.bits4, d.bits6, err = cutDualCIDR(rest)
		if err == nil && rest != "" {
			d.domain, err = parseOptionalDomain(rest)
		}
	case "ip4", "ip6":
		d.network, err = parseNetwork(rest, d.name == "ip6")
	default:
		return errors.New("unknown mechanism")
	}
	return err
}

func parseOptionalDomain(rest string) (macro, error) {
	if rest[0] != ':' {
		return nil, errors.New("neither a domain nor a prefix length")
	}
	return parseDomainSpec(rest[1:])
}

// cutDualCIDR removes "/24", "//64" or "/24//64" from the end of s (RFC 7208,
// 5.6). The domain-spec before it may contain slashes too.
func cutDualCIDR(s string) (rest string, bits4, bits6 int, err error) {
	bits4, bits6 = 32, 128
	if i := strings.LastIndex(s, "//"); i >= 0 && allDigits(s[i+2:]) {
		if bits6, err = prefixLength(s[i+2:], 128); err != nil {
			return
		}
		s = s[:i]
	}
	if i := strings.LastIndexByte(s, '/'); i >= 0 && allDigits(s[i+1:]) {
		if bits4, err = prefixLength(s[i+1:], 32); err != nil {
			return
		}
		s = s[:i]
	}
	return s, bits4, bits6, nil
}

// prefixLength parses a number from 0 to limit without leading zeros.
func prefixLength(s string, limit int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n > limit || !allDigits(s) || len(s) > 1 && s[0] == '0' {
		return 0, fmt.Errorf("prefix length %q is not a number from 0 to %d", s, limit)
	}
	return n, nil
}

func parseNetwork(rest string, six bool) (netip.Prefix, error) {
	if !strings.HasPrefix(rest, ":") {
		return netip.Prefix{}, errors.New("the address is missing")
	}
	text, length, cut := strings.Cut(rest[1:], "/")
	ip, err := netip.ParseAddr(text)
	if err != nil || ip.Is6() != six || ip.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%q is not an address of the right IP version", text)
	}
	bits := ip.BitLen()
	if cut {
		if bits, err = prefixLength(length, bits); err != nil {
			return netip.Prefix{}, err
		}
	}
	return netip.PrefixFrom(ip, bits).Masked(), nil
}

func allDigits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isAlpha(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
