package wire

import (
	"encoding/hex"
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"github.com/bridgehead-mail/bridgehead/internal/resolver"
)

// record adds a record of a server's answer to a. It reports whether the record
// could be read.
func record(a *resolver.Answer, rr dns.RR) bool {
	switch rr := rr.(type) {
	case *dns.A:
		return address(a, rr.A.To4())
	case *dns.AAAA:
		return address(a, rr.AAAA.To16())
	case *dns.MX:
		a.MX = append(a.MX, resolver.MX{Preference: rr.Preference, Host: nameText(rr.Mx)})
	case *dns.TXT:
		a.TXT = append(a.TXT, unescape(strings.Join(rr.Txt, "")))
	case *dns.PTR:
		a.Names = append(a.Names, nameText(rr.Ptr))
	case *dns.CNAME:
		a.Names = append(a.Names, nameText(rr.Target))
	case *dns.TLSA:
		data, err := hex.DecodeString(rr.Certificate)
		if err != nil {
			return false
		}
		a.TLSA = append(a.TLSA, resolver.TLSA{Usage: rr.Usage, Selector: rr.Selector, Matching: rr.MatchingType, Data: data})
	default:
		return false
	}
	return true
}

func address(a *resolver.Answer, octets []byte) bool {
	ip, ok := netip.AddrFromSlice(octets)
	if ok {
		a.Addrs = append(a.Addrs, ip)
	}
	return ok
}

// Known reports whether an Answer has a field for the type.
func Known(t resolver.Type) bool {
	switch t {
	case resolver.TypeA, resolver.TypeAAAA, resolver.TypeMX, resolver.TypeTXT, resolver.TypePTR, resolver.TypeCNAME, resolver.TypeTLSA:
		return true
	}
	return false
}

// Valid reports whether the DNS can have the name, which has no final dot
// (RFC 1035, 2.3.4).
func Valid(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	_, ok := dns.IsDomainName(FQDN(name))
	return ok
}

// FQDN returns a name without the final dot as package dns writes it.
func FQDN(name string) string { return escape(name) + "." }

// escape writes a name as package dns does (RFC 1035, 5.1): a character with a
// special meaning in master files gets a backslash, and an octet that is not
// printable is \DDD.
func escape(name string) string {
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case strings.IndexByte(` '@;()"\`, c) >= 0:
			b.Write([]byte{'\\', c})
		case c < ' ' || c > '~':
			b.Write([]byte{'\\', '0' + c/100, '0' + c/10%10, '0' + c%10})
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// nameText returns a name of package dns as in an Answer: without the final dot
// and the escapes, except that a dot inside a label keeps a backslash.
func nameText(name string) string {
	if name == "." {
		return name
	}
	return plain(strings.TrimSuffix(name, "."), true)
}

// unescape removes the escapes of package dns.
func unescape(s string) string { return plain(s, false) }

func plain(s string, keepDots bool) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\\' && i+1 < len(s) {
			i++
			c = s[i]
			if i+2 < len(s) && isDigits(s[i:i+3]) {
				c = (s[i]-'0')*100 + (s[i+1]-'0')*10 + s[i+2] - '0'
				i += 2
			}
			if c == '.' && keepDots {
				b.WriteByte('\\')
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}

func isDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }
