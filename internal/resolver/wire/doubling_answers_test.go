package wire

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
	"github.com/bridgehead-mail/bridgehead/internal/resolver"
)

// Twice the answer of a DNS server takes about twice the time: to read its records, and
// to find those of the name and its aliases. An answer has at most 64 KiB.
func TestDoublingAnswers(t *testing.T) {
	parse := func(qtype resolver.Type, records ...dns.RR) {
		reply := new(dns.Msg)
		reply.Answer, reply.RecursionAvailable = records, true
		Answer(reply, "a.example", qtype, true)
	}
	header := func(name string, t resolver.Type) dns.RR_Header {
		return dns.RR_Header{Name: name, Rrtype: uint16(t), Class: dns.ClassINET, Ttl: 60}
	}
	// many returns a record for each 16 octets of s. make gets the number of the record,
	// and its name and a text from s.
	many := func(s string, make func(i int, text string) dns.RR) (all []dns.RR) {
		for i := range len(s) / 16 {
			all = append(all, make(i, s[i*16:i*16+16]))
		}
		return all
	}
	doubling.Time(t, map[string]func(string){
		"TXT, one string": func(s string) {
			parse(resolver.TypeTXT, &dns.TXT{Hdr: header("a.example.", resolver.TypeTXT), Txt: []string{s}})
		},
		"TXT, strings": func(s string) {
			parse(resolver.TypeTXT, &dns.TXT{Hdr: header("a.example.", resolver.TypeTXT), Txt: strings.SplitAfter(s, s[:1])})
		},
		"TXT, records": func(s string) {
			parse(resolver.TypeTXT, many(s, func(_ int, text string) dns.RR {
				return &dns.TXT{Hdr: header("a.example.", resolver.TypeTXT), Txt: []string{text}}
			})...)
		},
		"MX": func(s string) {
			parse(resolver.TypeMX, many(s, func(i int, text string) dns.RR {
				return &dns.MX{Hdr: header("a.example.", resolver.TypeMX), Mx: fmt.Sprint(text, i, ".")}
			})...)
		},
		"MX, other names": func(s string) {
			parse(resolver.TypeMX, many(s, func(i int, text string) dns.RR {
				return &dns.MX{Hdr: header(fmt.Sprint(text, i, "."), resolver.TypeMX), Mx: "mx.example."}
			})...)
		},
		"PTR": func(s string) {
			parse(resolver.TypePTR, many(s, func(_ int, text string) dns.RR {
				return &dns.PTR{Hdr: header("a.example.", resolver.TypePTR), Ptr: text}
			})...)
		},
		"TLSA": func(s string) {
			parse(resolver.TypeTLSA, many(s, func(_ int, text string) dns.RR {
				return &dns.TLSA{Hdr: header("a.example.", resolver.TypeTLSA), Certificate: text}
			})...)
		},
		"name":     func(s string) { nameText(s) },
		"unescape": func(s string) { unescape(s) },
		"escape":   func(s string) { escape(s) },
		"on the wire": func(s string) {
			reply := new(dns.Msg)
			reply.Unpack([]byte("\x00\x01\x84\x00\x00\x00\xff\xff\x00\x00\x00\x00" + s[:min(len(s), 65000)]))
		},
	}, []string{"a", ".", "\\", "\xff", "\x00", "ü.", "\\000", "\\.", "a.", "\xc0\x0c", "\xc0\x0c\x00\x10\x00\x01\x00\x00\x00\x3c\x00\x02\x01a", "\x00\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x00"})
	doubling.Time(t, map[string]func(string){
		"aliases, last first": func(s string) {
			n := len(s) / 16
			parse(resolver.TypeA, many(s, func(i int, _ string) dns.RR {
				name := fmt.Sprintf("a%d.example.", n-1-i)
				if i == n-1 {
					name = "a.example."
				}
				return &dns.CNAME{Hdr: header(name, resolver.TypeCNAME), Target: fmt.Sprintf("a%d.example.", n-i)}
			})...)
		},
	}, []string{"a"}) // the length decides how many
}
