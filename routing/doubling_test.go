package routing

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
)

// Twice the input takes about twice the time, for each function and each repeated text.
func TestDoubling(t *testing.T) {
	doubling.Time(t, map[string]func(string){
		"ParseSchedule":          func(s string) { ParseSchedule(s, time.UTC) },
		"ParseSchedule, windows": func(s string) { ParseSchedule("Mon "+s, time.UTC) },
		"parseResolvConf":        func(s string) { parseResolvConf(s) },
		"parseSenders":           func(s string) { parseSenders([]string{s}) },
		"parseSpace":             func(s string) { parseSpace(s) },
		"parseReplyPatterns":     func(s string) { parseReplyPatterns([]string{s}, 5) },
	}, append([]string{"nameserver 192.0.2.1\n", "Mon 1-2,", "1:00-2:00,", "*."}, doubling.Units...))
}

// Twice the answer of a DNS server takes about twice the time: to read its records, and
// to find those of the name and its aliases. An answer has at most 64 KiB.
func TestDoublingAnswers(t *testing.T) {
	parse := func(qtype RecordType, records ...dns.RR) {
		reply := new(dns.Msg)
		reply.Answer, reply.RecursionAvailable = records, true
		parseAnswer(reply, dnsKey{"a.example", qtype}, true)
	}
	header := func(name string, t RecordType) dns.RR_Header {
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
		"TXT, one string": func(s string) { parse(TypeTXT, &dns.TXT{Hdr: header("a.example.", TypeTXT), Txt: []string{s}}) },
		"TXT, strings": func(s string) {
			parse(TypeTXT, &dns.TXT{Hdr: header("a.example.", TypeTXT), Txt: strings.SplitAfter(s, s[:1])})
		},
		"TXT, records": func(s string) {
			parse(TypeTXT, many(s, func(_ int, text string) dns.RR {
				return &dns.TXT{Hdr: header("a.example.", TypeTXT), Txt: []string{text}}
			})...)
		},
		"MX": func(s string) {
			parse(TypeMX, many(s, func(i int, text string) dns.RR {
				return &dns.MX{Hdr: header("a.example.", TypeMX), Mx: fmt.Sprint(text, i, ".")}
			})...)
		},
		"MX, other names": func(s string) {
			parse(TypeMX, many(s, func(i int, text string) dns.RR {
				return &dns.MX{Hdr: header(fmt.Sprint(text, i, "."), TypeMX), Mx: "mx.example."}
			})...)
		},
		"PTR": func(s string) {
			parse(TypePTR, many(s, func(_ int, text string) dns.RR {
				return &dns.PTR{Hdr: header("a.example.", TypePTR), Ptr: text}
			})...)
		},
		"TLSA": func(s string) {
			parse(TypeTLSA, many(s, func(_ int, text string) dns.RR {
				return &dns.TLSA{Hdr: header("a.example.", TypeTLSA), Certificate: text}
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
			parse(TypeA, many(s, func(i int, _ string) dns.RR {
				name := fmt.Sprintf("a%d.example.", n-1-i)
				if i == n-1 {
					name = "a.example."
				}
				return &dns.CNAME{Hdr: header(name, TypeCNAME), Target: fmt.Sprintf("a%d.example.", n-i)}
			})...)
		},
	}, []string{"a"}) // the length decides how many
}
