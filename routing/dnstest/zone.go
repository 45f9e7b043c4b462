package dnstest

import (
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// A zone contains all records, by canonical name. There are no zone cuts: one
// zone contains all names.
type zone map[string]*node

type node struct {
	records []dns.RR
	secure  bool // it and its descendants are authenticated
}

const defaultTTL = 300

// Add adds records in the form of a master file. Names are complete also
// without a final dot. The default TTL is 300 seconds.
func (s *Server) Add(text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := dns.NewZoneParser(strings.NewReader(trimLines(text)), ".", "")
	p.SetDefaultTTL(defaultTTL)
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		n := s.zone.at(rr.Header().Name)
		n.records = append(n.records, rr)
	}
	if err := p.Err(); err != nil {
		return fmt.Errorf("dnstest: %w", err)
	}
	return nil
}

// trimLines removes the indentation of zone text in Go source. In a master
// file, an indented line has the same name as the line before.
func trimLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimSpace(l)
	}
	return strings.Join(lines, "\n") + "\n"
}

// Remove removes the records of name of one type, or of all types if qtype is
// "".
func (s *Server) Remove(name, qtype string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.zone[canonical(name)]
	if n == nil {
		return
	}
	kept := n.records[:0]
	for _, rr := range n.records {
		if qtype != "" && rr.Header().Rrtype != dns.StringToType[qtype] {
			kept = append(kept, rr)
		}
	}
	n.records = kept
	if len(kept) == 0 && !n.secure {
		delete(s.zone, canonical(name))
	}
}

// Secure marks the answers for the names, and for all names below them, as
// authenticated. They have the AD bit, as from a validating resolver, if the
// client requests it (RFC 6840, 5.7).
func (s *Server) Secure(names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		s.zone.at(name).secure = true
	}
}

// at returns the node of a name and creates it if necessary.
func (z zone) at(name string) *node {
	name = canonical(name)
	if z[name] == nil {
		z[name] = &node{}
	}
	return z[name]
}

// answer returns the reply of a correct recursive resolver.
func (z zone) answer(q *dns.Msg) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	name, qtype := dns.CanonicalName(q.Question[0].Name), q.Question[0].Qtype
	secure, found := true, false
	for range 16 { // follow at most 16 aliases: there may be a loop
		secure = secure && z.secure(name)
		records, exists := z.lookup(name)
		if !exists {
			m.Rcode = dns.RcodeNameError
			break
		}
		var alias string
		for _, rr := range records {
			if rr.Header().Rrtype == qtype || qtype == dns.TypeANY {
				m.Answer = append(m.Answer, withName(rr, name))
				found = true
			} else if c, ok := rr.(*dns.CNAME); ok && !found {
				alias = c.Target
			}
		}
		if found || alias == "" {
			break
		}
		for _, rr := range records {
			if rr.Header().Rrtype == dns.TypeCNAME {
				m.Answer = append(m.Answer, withName(rr, name))
			}
		}
		name = dns.CanonicalName(alias)
	}
	if !found { // also after aliases (RFC 2308, 2.1)
		m.Ns = append(m.Ns, z.soa(name))
	}
	opt := q.IsEdns0()
	m.AuthenticatedData = secure && (q.AuthenticatedData || opt != nil && opt.Do())
	if opt != nil {
		m.SetEdns0(1232, opt.Do())
	}
	return m
}

// lookup returns a name's records, also from a wildcard, and whether the name
// exists.
func (z zone) lookup(name string) (records []dns.RR, exists bool) {
	if n := z[name]; n != nil && (len(n.records) > 0 || n.secure) {
		return n.records, true
	}
	for other, n := range z {
		if len(n.records) > 0 && dns.IsSubDomain(name, other) {
			return nil, true // an empty non-terminal (RFC 8020)
		}
	}
	for off, end := dns.NextLabel(name, 0); !end; off, end = dns.NextLabel(name, off) {
		if n := z["*."+name[off:]]; n != nil {
			return n.records, true
		}
	}
	return nil, false
}

func (z zone) secure(name string) bool {
	for off, end := 0, false; !end; off, end = dns.NextLabel(name, off) {
		if n := z[name[off:]]; n != nil && n.secure {
			return true
		}
	}
	return false
}

// soa returns the zone's SOA record, or a default one with a negative TTL of
// one minute.
func (z zone) soa(name string) dns.RR {
	for off, end := 0, false; !end; off, end = dns.NextLabel(name, off) {
		if n := z[name[off:]]; n != nil {
			for _, rr := range n.records {
				if rr.Header().Rrtype == dns.TypeSOA {
					return dns.Copy(rr)
				}
			}
		}
	}
	return &dns.SOA{
		Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 60},
		Ns:  "dnstest.invalid.", Mbox: "dnstest.invalid.", Serial: 1, Minttl: 60,
	}
}

// withName returns the record with the name of the query: the name of a
// wildcard does not appear in answers.
func withName(rr dns.RR, name string) dns.RR {
	rr = dns.Copy(rr)
	rr.Header().Name = name
	return rr
}
