package dmarc

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dkim"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/spf"
)

// A Result is a DMARC result, as in Authentication-Results (RFC 8601). The zero
// value means that there was no check.
type Result string

const (
	None      Result = "none"      // the author's domain has no policy
	Pass      Result = "pass"      // SPF or DKIM authenticates the author's domain
	Fail      Result = "fail"      // neither SPF nor DKIM authenticates the author's domain
	TempError Result = "temperror" // DNS did not answer
	PermError Result = "permerror" // From does not name one valid domain
)

// A Verdict is the result of a check, with details.
type Verdict struct {
	Result Result
	// Author is the domain in From. Domain is the domain that publishes the
	// policy for it.
	Author, Domain string
	// Organization is the organizational domain of the author. It is empty if the
	// check did not need it.
	Organization string
	// Record is the published policy, or nil if there is none.
	Record *Record
	// Tag is the tag of Record that applies to the author: p, sp or np.
	Tag string
	// Policy is the value of that tag.
	Policy Disposition
	// Disposition is the action that the domain requests for this message. It
	// is NoAction unless Result is Fail. It may be less strict than Policy;
	// Reasons then explains why.
	Disposition Disposition
	// Reasons explains why Disposition differs from Policy for a message that
	// fails (RFC 9990, 3.1.6).
	Reasons []Reason
	// SPF reports whether SPF authenticates an aligned domain. DKIM reports the
	// same for DKIM.
	SPF, DKIM bool
	// Err explains a TempError or a PermError. If Result is None, Err has the
	// errors in the record.
	Err error
	// PublicSuffixList reports whether the policy was found with the public
	// suffix list and not with the tree walk.
	PublicSuffixList bool
}

// A Reason explains why a policy was not applied.
type Reason struct {
	// Type is local_policy, mailing_list, other, policy_test_mode or
	// trusted_forwarder (RFC 9990, 3.1.6), or sampled_out (RFC 7489).
	Type    string
	Comment string
}

// Check checks a message. author is the domain in From. s and d are the verdicts
// of SPF and DKIM. A nil verdict means that there was no such check; the result is
// then TempError instead of Fail. Check returns within Timeout. It is safe for
// concurrent use.
func (c *Checker) Check(ctx context.Context, author string, s *spf.Verdict, d *dkim.Verdict) Verdict {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = 20 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	t := c.tree(ctx)
	v := Verdict{Author: author, PublicSuffixList: t.psl, Disposition: NoAction}
	if a, err := addr.HostName(author); err == nil {
		v.Author = a
	} else {
		v.Result, v.Err = PermError, errors.New("dmarc: the author's domain is not valid")
		return v
	}
	p, err := t.policy(v.Author)
	if err != nil {
		v.Result, v.Err = TempError, err
		return v
	}
	v.Organization = p.org
	if p.record == nil {
		v.Result = None
		return v
	}
	v.Record = p.record.applied(t.psl)
	if v.Record == nil {
		v.Result, v.Err = None, p.record.Err
		return v
	}
	v.Domain = p.domain
	if err := v.choosePolicy(t); err != nil {
		v.Result, v.Err = TempError, err
		return v
	}
	v.align(t, s, d)
	if v.Result == Fail {
		v.dispose(t.psl, rand.IntN(100))
	}
	return v
}

func (c *Checker) tree(ctx context.Context) *tree {
	return &tree{ctx: ctx, resolver: c.Resolver, psl: c.PublicSuffixList, records: make(map[string]*Record)}
}

// choosePolicy selects p, or sp or np for a subdomain (RFC 9989, 4.10.1).
func (v *Verdict) choosePolicy(t *tree) error {
	r := v.Record
	v.Tag, v.Policy = "p", r.Policy
	if v.Author == v.Domain {
		return nil
	}
	if r.SubdomainPolicy != "" {
		v.Tag, v.Policy = "sp", r.SubdomainPolicy
	}
	if r.NonexistentPolicy == "" || r.NonexistentPolicy == v.Policy {
		return nil
	}
	exists, err := t.exists(v.Author)
	if err == nil && !exists {
		v.Tag, v.Policy = "np", r.NonexistentPolicy
	}
	return err
}

// align looks for an authenticated domain that is aligned with the author's
// domain (RFC 9989, 4.10.2). It sets the result.
func (v *Verdict) align(t *tree, s *spf.Verdict, d *dkim.Verdict) {
	var unknown []error // checks that might have passed
	if s == nil {
		unknown = append(unknown, errors.New("dmarc: SPF was not checked"))
	} else if s.Result == spf.Pass || s.Result == spf.TempError {
		aligned, err := v.aligned(t, s.Domain, v.Record.StrictSPF)
		switch {
		case err != nil:
			unknown = append(unknown, err)
		case aligned && s.Result == spf.TempError:
			unknown = append(unknown, s.Err)
		case aligned:
			v.SPF = true
		}
	}
	if d == nil {
		unknown = append(unknown, errors.New("dmarc: DKIM was not checked"))
	} else {
		for i := range d.Signatures {
			sig := &d.Signatures[i]
			if sig.Result != dkim.Pass && sig.Result != dkim.TempError {
				continue
			}
			aligned, err := v.aligned(t, sig.Domain, v.Record.StrictDKIM)
			switch {
			case err != nil:
				unknown = append(unknown, err)
			case aligned && sig.Result == dkim.TempError:
				unknown = append(unknown, sig.Err)
			case aligned:
				v.DKIM = true
			}
		}
	}
	switch {
	case v.SPF || v.DKIM:
		v.Result = Pass
	case len(unknown) > 0:
		v.Result, v.Err = TempError, errors.Join(unknown...)
	default:
		v.Result = Fail
	}
}

// aligned reports whether a domain is the author's domain or, unless strict, in
// the same organization.
func (v *Verdict) aligned(t *tree, domain string, strict bool) (bool, error) {
	domain, err := addr.Domain(domain)
	switch {
	case err != nil:
		return false, nil
	case domain == v.Author:
		return true, nil
	case strict:
		return false, nil
	}
	if v.Organization == "" {
		p, err := t.find(v.Author)
		if err != nil {
			return false, err
		}
		v.Organization = p.org
	}
	if domain != v.Organization && !strings.HasSuffix(domain, "."+v.Organization) {
		return false, nil // an organizational domain is the domain itself or an ancestor
	}
	p, err := t.find(domain)
	return err == nil && p.org == v.Organization, err
}

// dispose sets the disposition of a message that fails. roll is a random number
// from 0 to 99, for pct.
func (v *Verdict) dispose(publicSuffixList bool, roll int) {
	v.Disposition = v.Policy
	switch {
	case v.Policy == NoAction:
	case publicSuffixList && roll >= v.Record.Percent: // RFC 7489, 6.6.4
		v.Disposition = v.Policy.less()
		v.Reasons = append(v.Reasons, Reason{Type: "sampled_out"})
	case !publicSuffixList && v.Record.Testing:
		v.Disposition = v.Policy.less()
		v.Reasons = append(v.Reasons, Reason{Type: "policy_test_mode"})
	}
}
