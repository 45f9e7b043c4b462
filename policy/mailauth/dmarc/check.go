package dmarc

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dkim"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/spf"
)

// A Result is one of RFC 8601's for DMARC. The zero value means that nothing
// was checked.
type Result string

const (
	None      Result = "none"      // the author's domain has no policy
	Pass      Result = "pass"      // the author's domain is proven
	Fail      Result = "fail"      // it is not
	TempError Result = "temperror" // it cannot be known now
	PermError Result = "permerror" // the message has no author whose domain could be asked
)

// A Verdict is what came of a message.
type Verdict struct {
	Result Result
	// Author is the domain in From, Domain where its policy is published.
	Author, Domain string
	// Organization is the author's organizational domain; empty where nothing
	// depended on it.
	Organization string
	// Record is the published policy; nil for none.
	Record *Record
	// Tag is the one that holds the policy for this author: p, sp or np.
	Tag string
	// Policy is what that tag asks for, of mail that fails.
	Policy Disposition
	// Disposition is what the domain asks for of this message: none unless
	// Result is Fail, and less than Policy where the record says that it is
	// only a test.
	Disposition Disposition
	// Reasons why Disposition is not Policy for a message that fails (RFC
	// 9990, 3.1.6).
	Reasons []Reason
	// SPF and DKIM say whether each has proven an aligned domain.
	SPF, DKIM bool
	// Err says what is wrong where Result is TempError or PermError.
	Err error
	// ByList is set where the public suffix list was asked, not the tree.
	ByList bool
}

// A Reason is why a policy was not applied.
type Reason struct {
	// Type is one of the RFC's words: local_policy, mailing_list, other,
	// policy_test_mode, trusted_forwarder; sampled_out in RFC 7489.
	Type    string
	Comment string
}

// Check decides about a message whose author's domain is author, given what
// SPF and DKIM have found; nil for one that was not asked, of which is not
// known then what it would have said.
func (c *Checker) Check(ctx context.Context, author string, s *spf.Verdict, d *dkim.Verdict) Verdict {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = 20 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	t := c.tree(ctx)
	v := Verdict{Author: author, ByList: t.psl, Disposition: NoAction}
	if a, err := addr.HostName(author); err == nil {
		v.Author = a
	} else {
		v.Result, v.Err = PermError, errors.New("dmarc: the author has no domain that could be asked")
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
	t := &tree{ctx: ctx, resolver: c.Resolver, psl: c.PublicSuffixList, records: make(map[string]*Record)}
	if t.resolver == nil {
		t.resolver = net.DefaultResolver
	}
	return t
}

// choosePolicy takes p, or for a subdomain sp or np (RFC 9989, 4.10.1).
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

// align looks for a proven domain that is aligned with the author's (RFC
// 9989, 4.10.2).
func (v *Verdict) align(t *tree, s *spf.Verdict, d *dkim.Verdict) {
	var unknown []error // what might have been a proof
	if s == nil {
		unknown = append(unknown, errors.New("dmarc: SPF was not asked"))
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
		unknown = append(unknown, errors.New("dmarc: DKIM was not asked"))
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

// aligned says whether a proven domain is the author's or, unless strict, of
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
		return false, nil // an organizational domain is the name itself or above it
	}
	p, err := t.find(domain)
	return err == nil && p.org == v.Organization, err
}

// dispose finds what becomes of a message that fails; roll is from 0 to 99.
func (v *Verdict) dispose(byList bool, roll int) {
	v.Disposition = v.Policy
	switch {
	case v.Policy == NoAction:
	case byList && roll >= v.Record.Percent: // RFC 7489, 6.6.4
		v.Disposition = v.Policy.less()
		v.Reasons = append(v.Reasons, Reason{Type: "sampled_out"})
	case !byList && v.Record.Testing:
		v.Disposition = v.Policy.less()
		v.Reasons = append(v.Reasons, Reason{Type: "policy_test_mode"})
	}
}
