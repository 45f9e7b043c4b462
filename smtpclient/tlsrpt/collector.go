package tlsrpt

import (
	"cmp"
	"crypto/rand"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
)

// Policy types (RFC 8460, 4.1).
const (
	TLSA     = "tlsa"
	STS      = "sts"
	NoPolicy = "no-policy-found"
)

// Result types (RFC 8460, 4.3).
const (
	StartTLSNotSupported    = "starttls-not-supported"
	CertificateHostMismatch = "certificate-host-mismatch"
	CertificateExpired      = "certificate-expired"
	CertificateNotTrusted   = "certificate-not-trusted"
	ValidationFailure       = "validation-failure"
	TLSAInvalid             = "tlsa-invalid"
	DNSSECInvalid           = "dnssec-invalid"
	DANERequired            = "dane-required"
	STSPolicyFetchError     = "sts-policy-fetch-error"
	STSPolicyInvalid        = "sts-policy-invalid"
	STSWebPKIInvalid        = "sts-webpki-invalid"
)

// A Policy is the TLS policy that a domain has published for its hosts.
type Policy struct {
	Type    string   // TLSA, STS or NoPolicy
	Strings []string // TLSA records in presentation form, or the lines of an MTA-STS policy
	MXHosts []string // the mx patterns of an MTA-STS policy
}

// A Session is one attempt to negotiate TLS with one host.
type Session struct {
	Domain string // the domain of the policy, in A-label form
	Policy Policy
	// Result is one of the result types, or empty for success.
	Result      string
	SendingIP   string
	MXHost      string
	MXHelo      string
	ReceivingIP string
	Info        string // a description of the failure as text
}

const (
	maxDomains  = 10_000 // in one period
	maxPolicies = 20     // of one domain
	maxFailures = 100    // kinds of failure for one policy
	maxInfo     = 500    // octets
	maxHelo     = 255    // octets; RFC 5321, 4.5.3.1.2
	maxPolicy   = 4096   // octets of a policy's lines that are reported
)

// A Collector counts sessions until Take returns them as reports. It keeps the
// counts in memory: at most 10,000 domains, 20 policies for each domain, and
// 100 kinds of failure for each policy. Sessions of further domains or
// policies are not counted. Further kinds of failure are counted only in the
// total. A Collector is safe for concurrent use.
type Collector struct {
	Organization string // the organization that sends the reports
	Contact      string // its contact address

	mu      sync.Mutex // guards since and domains
	since   time.Time
	domains map[string][]*counts
}

// counts are the sessions under one policy.
type counts struct {
	policy    Policy
	successes int64
	failures  []*failure
	other     int64 // failures beyond maxFailures kinds
}

type failure struct {
	what  Session // without Domain and Policy
	count int64
}

// Record counts a session. Use it as smtpclient.Transport.TLSReport.
func (c *Collector) Record(s Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.since.IsZero() {
		c.since = time.Now()
	}
	s.Policy.Strings, s.Policy.MXHosts = clip(s.Policy.Strings), clip(s.Policy.MXHosts)
	n := c.counts(addr.FoldDomain(s.Domain), s.Policy)
	switch {
	case n == nil:
	case s.Result == "":
		n.successes++
	default:
		n.fail(s)
	}
}

// clip cuts the lines of a policy after maxPolicy octets.
func clip(lines []string) []string {
	n := 0
	for i, l := range lines {
		if n += len(l); n > maxPolicy {
			return lines[:i]
		}
	}
	return lines
}

// copied copies the lines, so that the text they are part of can be freed.
func copied(lines []string) []string {
	own := make([]string, len(lines))
	for i, l := range lines {
		own[i] = strings.Clone(l)
	}
	return own
}

func cut(s string, most int) string {
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "")
	}
	return s
}

// counts returns the counts of a domain and policy and creates them if
// necessary. It returns nil if there are too many. The caller holds mu.
func (c *Collector) counts(domain string, p Policy) *counts {
	of := c.domains[domain]
	for _, n := range of {
		if n.policy.Type == p.Type && slices.Equal(n.policy.Strings, p.Strings) && slices.Equal(n.policy.MXHosts, p.MXHosts) {
			return n
		}
	}
	if of == nil && len(c.domains) >= maxDomains || len(of) >= maxPolicies {
		return nil
	}
	if c.domains == nil {
		c.domains = make(map[string][]*counts)
	}
	p.Strings, p.MXHosts = copied(p.Strings), copied(p.MXHosts)
	n := &counts{policy: p}
	c.domains[domain] = append(of, n)
	return n
}

func (n *counts) fail(s Session) {
	s.Info, s.MXHelo = cut(s.Info, maxInfo), cut(s.MXHelo, maxHelo)
	s.Domain, s.Policy = "", Policy{}
	for _, f := range n.failures {
		if f.what.same(&s) {
			f.count++
			return
		}
	}
	if len(n.failures) == maxFailures {
		n.other++
		return
	}
	n.failures = append(n.failures, &failure{s, 1})
}

// same reports whether two failures belong to the same line of a report.
func (s *Session) same(o *Session) bool {
	return s.Result == o.Result && s.SendingIP == o.SendingIP && s.MXHost == o.MXHost && s.MXHelo == o.MXHelo && s.ReceivingIP == o.ReceivingIP
}

// Take returns a report for each domain with sessions since the last Take (or
// the first Record), sorted by domain. It resets the counts.
func (c *Collector) Take(now time.Time) []*Report {
	c.mu.Lock()
	domains, since := c.domains, c.since
	c.domains, c.since = nil, now
	c.mu.Unlock()
	reports := make([]*Report, 0, len(domains))
	for domain, of := range domains {
		r := &Report{
			Domain: domain, Organization: c.Organization, Contact: c.Contact,
			Start: since.UTC().Truncate(time.Second), End: now.UTC().Truncate(time.Second),
			ID: since.UTC().Format("20060102") + "." + rand.Text()[:12] + "." + domain,
		}
		for _, n := range of {
			r.Policies = append(r.Policies, n.result(domain))
		}
		reports = append(reports, r)
	}
	slices.SortFunc(reports, func(a, b *Report) int { return cmp.Compare(a.Domain, b.Domain) })
	return reports
}

// result returns the counts in the form of a report.
func (n *counts) result(domain string) PolicyResult {
	r := PolicyResult{
		Policy:  PolicyDetails{Type: n.policy.Type, Strings: n.policy.Strings, Domain: domain, MXHosts: n.policy.MXHosts},
		Summary: Summary{Successful: n.successes, Failed: n.other},
	}
	for _, f := range n.failures {
		r.Summary.Failed += f.count
		r.Failures = append(r.Failures, FailureDetails{
			ResultType: f.what.Result, SendingIP: f.what.SendingIP, MXHost: f.what.MXHost, MXHelo: f.what.MXHelo,
			ReceivingIP: f.what.ReceivingIP, Count: f.count, Info: f.what.Info,
		})
	}
	return r
}
