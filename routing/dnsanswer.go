package routing

import (
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Limits of the cache time.
const (
	maxTTL         = 24 * time.Hour
	maxNegativeTTL = time.Hour       // RFC 2308, 5 recommends one to three hours
	noNegativeTTL  = time.Minute     // for a negative answer without an SOA record
	failureTTL     = 5 * time.Second // RFC 9520, 3.2: at least one second
	maxAliases     = 16
)

// parseAnswer parses a server's reply to the query key. The duration is how
// long the result can be cached.
func parseAnswer(reply *dns.Msg, key dnsKey, trustAD bool) (*Answer, time.Duration, *LookupError) {
	switch reply.Rcode {
	case dns.RcodeSuccess, dns.RcodeNameError:
	default:
		return nil, failureTTL, lookupError(DNSFailure, key.name, key.qtype, dns.RcodeToString[reply.Rcode])
	}
	if reply.Truncated { // also over TCP: records are missing
		return nil, failureTTL, lookupError(DNSFailure, key.name, key.qtype, "truncated answer")
	}
	name, ttl, err := followAliases(reply.Answer, key)
	if err != nil {
		return nil, ttl, err
	}
	a := &Answer{Name: nameText(name), Secure: trustAD && reply.AuthenticatedData}
	records := 0
	stray := false // the answer has records of this type, but of other names
	for _, rr := range reply.Answer {
		h := rr.Header()
		if h.Rrtype != uint16(key.qtype) || h.Class != dns.ClassINET {
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
	case a.Has(key.qtype):
		return a, ttl, nil
	case records > 0:
		return nil, failureTTL, lookupError(DNSFailure, key.name, key.qtype, "no record of the answer can be read")
	case stray:
		return nil, failureTTL, lookupError(DNSFailure, key.name, key.qtype, "the answer contains records of other names only")
	}
	ttl = min(ttl, negativeTTL(reply.Ns))
	if reply.Rcode == dns.RcodeNameError {
		return nil, ttl, lookupError(NoSuchName, key.name, key.qtype, aliasDetail(name, key))
	}
	if isReferral(reply, name, key) {
		return nil, failureTTL, lookupError(DNSFailure, key.name, key.qtype, "the server sent a referral instead of an answer")
	}
	return nil, ttl, lookupError(NoRecord, key.name, key.qtype, aliasDetail(name, key))
}

// isReferral reports whether a reply without records contains no information
// about name: the server is not recursive (no RA) and not authoritative for
// the name. If the name of the query is an alias, AA refers to the alias (RFC
// 1035, 4.1.1); an SOA record shows which zone was searched for the target
// (RFC 2308, 2.2).
func isReferral(reply *dns.Msg, name string, key dnsKey) bool {
	if reply.RecursionAvailable {
		return false
	}
	if strings.EqualFold(name, key.fqdn()) {
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
func followAliases(records []dns.RR, key dnsKey) (string, time.Duration, *LookupError) {
	name, ttl := key.fqdn(), maxTTL
	if key.qtype == TypeCNAME {
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
	return "", max(ttl, noNegativeTTL), lookupError(AliasLoop, key.name, key.qtype, "")
}

func aliasDetail(name string, key dnsKey) string {
	if strings.EqualFold(name, key.fqdn()) {
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
	return min(time.Duration(ttl)*time.Second, maxTTL)
}
