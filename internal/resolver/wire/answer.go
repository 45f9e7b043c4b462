package wire

import (
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/bridgehead-mail/bridgehead/internal/resolver"
)

// Limits of the cache time.
const (
	MaxTTL         = 24 * time.Hour
	maxNegativeTTL = time.Hour       // RFC 2308, 5 recommends one to three hours
	noNegativeTTL  = time.Minute     // for a negative answer without an SOA record
	FailureTTL     = 5 * time.Second // RFC 9520, 3.2: at least one second
	maxAliases     = 16
)

// Answer parses a server's reply to the query for the records of type t of name.
// The name has no final dot. The duration is how long the result can be cached.
// If trustAD is set, the AD bit of the reply makes the answer Secure.
func Answer(reply *dns.Msg, name string, t resolver.Type, trustAD bool) (*resolver.Answer, time.Duration, *resolver.Error) {
	return parse(reply, query{name, FQDN(name), t}, trustAD)
}

// A query is the question that a reply answers.
type query struct {
	name string // without the final dot
	fqdn string // the same name as package dns writes it
	t    resolver.Type
}

func (q query) error(p resolver.Problem, detail string) *resolver.Error {
	return &resolver.Error{Problem: p, Name: q.name, Type: q.t, Detail: detail}
}

func parse(reply *dns.Msg, q query, trustAD bool) (*resolver.Answer, time.Duration, *resolver.Error) {
	switch reply.Rcode {
	case dns.RcodeSuccess, dns.RcodeNameError:
	default:
		return nil, FailureTTL, q.error(resolver.Failure, dns.RcodeToString[reply.Rcode])
	}
	if reply.Truncated { // also over TCP: records are missing
		return nil, FailureTTL, q.error(resolver.Failure, "truncated answer")
	}
	name, ttl, err := followAliases(reply.Answer, q)
	if err != nil {
		return nil, ttl, err
	}
	a := &resolver.Answer{Name: nameText(name), Secure: trustAD && reply.AuthenticatedData}
	records := 0
	stray := false // the answer has records of this type, but of other names
	for _, rr := range reply.Answer {
		h := rr.Header()
		if h.Rrtype != uint16(q.t) || h.Class != dns.ClassINET {
			continue
		}
		if !strings.EqualFold(h.Name, name) {
			stray = true
			continue
		}
		records++
		record(a, rr)
		ttl = min(ttl, seconds(h.Ttl))
	}
	switch {
	case a.Has(q.t):
		return a, ttl, nil
	case records > 0:
		return nil, FailureTTL, q.error(resolver.Failure, "no record of the answer can be read")
	case stray:
		return nil, FailureTTL, q.error(resolver.Failure, "the answer contains records of other names only")
	}
	ttl = min(ttl, negativeTTL(reply.Ns))
	if reply.Rcode == dns.RcodeNameError {
		return nil, ttl, q.error(resolver.NoSuchName, aliasDetail(name, q))
	}
	if isReferral(reply, name, q) {
		return nil, FailureTTL, q.error(resolver.Failure, "the server sent a referral instead of an answer")
	}
	return nil, ttl, q.error(resolver.NoRecord, aliasDetail(name, q))
}

// isReferral reports whether a reply without records contains no information
// about name: the server is not recursive (no RA) and not authoritative for
// the name. If the name of the query is an alias, AA refers to the alias (RFC
// 1035, 4.1.1); an SOA record shows which zone was searched for the target
// (RFC 2308, 2.2).
func isReferral(reply *dns.Msg, name string, q query) bool {
	if reply.RecursionAvailable {
		return false
	}
	if strings.EqualFold(name, q.fqdn) {
		return !reply.Authoritative
	}
	for _, rr := range reply.Ns {
		if soa, is := rr.(*dns.SOA); is && dns.IsSubDomain(soa.Hdr.Name, name) {
			return false
		}
	}
	return true
}

// followAliases follows the CNAME records of an answer from the name of the
// query to the name of the other records.
func followAliases(records []dns.RR, q query) (string, time.Duration, *resolver.Error) {
	name, ttl := q.fqdn, MaxTTL
	if q.t == resolver.TypeCNAME {
		return name, ttl, nil
	}
	for range maxAliases {
		target := ""
		for _, rr := range records {
			c, is := rr.(*dns.CNAME)
			if is && strings.EqualFold(c.Hdr.Name, name) {
				target = c.Target
				ttl = min(ttl, seconds(c.Hdr.Ttl))
				break
			}
		}
		if target == "" {
			return name, ttl, nil
		}
		name = strings.ToLower(target)
	}
	return "", max(ttl, noNegativeTTL), q.error(resolver.AliasLoop, "")
}

func aliasDetail(name string, q query) string {
	if strings.EqualFold(name, q.fqdn) {
		return ""
	}
	return "an alias of " + nameText(name)
}

// negativeTTL returns how long a negative answer can be cached (RFC 2308, 5).
func negativeTTL(authority []dns.RR) time.Duration {
	for _, rr := range authority {
		if soa, is := rr.(*dns.SOA); is {
			return min(seconds(soa.Minttl), seconds(soa.Hdr.Ttl), maxNegativeTTL)
		}
	}
	return noNegativeTTL
}

func seconds(ttl uint32) time.Duration {
	if ttl > 1<<31-1 { // RFC 2181, 8
		return 0
	}
	return min(time.Duration(ttl)*time.Second, MaxTTL)
}
