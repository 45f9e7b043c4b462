package authres

import (
	"github.com/bridgehead-mail/bridgehead/policy/internal/lookup"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dkim"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dmarc"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/spf"
)

// FromSPF returns the result for a verdict of SPF (RFC 8601, 2.7.2).
func FromSPF(v *spf.Verdict) Result {
	name := "mailfrom"
	if v.Helo {
		name = "helo"
	}
	return Result{Method: "spf", Value: string(v.Result), Reason: lookup.PublicText(v.Err), Properties: []Property{{"smtp", name, v.Domain}}}
}

// FromDKIM returns the results for a verdict of DKIM: one for each signature, or
// dkim=none if there is no signature (RFC 8601, 2.7.1; RFC 6008 for header.b).
func FromDKIM(v *dkim.Verdict) []Result {
	if len(v.Signatures) == 0 {
		return []Result{{Method: "dkim", Value: string(dkim.None)}}
	}
	var results []Result
	for i := range v.Signatures {
		s := &v.Signatures[i]
		r := Result{Method: "dkim", Value: string(s.Result), Reason: lookup.PublicText(s.Err), Properties: []Property{
			{"header", "d", s.Domain}, {"header", "s", s.Selector}, {"header", "a", s.Algorithm}, {"header", "b", s.Value[:min(len(s.Value), 8)]},
		}}
		if s.Testing {
			r.Comment = "testing"
		}
		results = append(results, r)
	}
	return results
}

// FromDMARC returns the result for a verdict of DMARC (RFC 9989, 8.1 and 9.2).
func FromDMARC(v *dmarc.Verdict) Result {
	r := Result{Method: "dmarc", Value: string(v.Result), Reason: lookup.PublicText(v.Err), Properties: []Property{{"header", "from", v.Author}}}
	if v.Record != nil {
		r.Comment = v.Tag + "=" + string(v.Policy)
		if v.Disposition != v.Policy && v.Result == dmarc.Fail {
			r.Comment += " dis=" + string(v.Disposition)
		}
	}
	return r
}
