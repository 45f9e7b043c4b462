package dmarc

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
)

// A Disposition is the action that a domain requests for messages that fail
// DMARC (RFC 9989, 4.7).
type Disposition string

const (
	NoAction   Disposition = "none"
	Quarantine Disposition = "quarantine"
	Reject     Disposition = "reject"
)

// less returns the next lower level (RFC 9989, 4.7, t; RFC 7489, 6.3, pct).
func (d Disposition) less() Disposition {
	if d == Reject {
		return Quarantine
	}
	return NoAction
}

// A Record is a published policy (RFC 9989, 4.7).
type Record struct {
	// Policy is the tag p; it is "none" if the tag is missing. SubdomainPolicy
	// (sp) is for subdomains that exist, NonexistentPolicy (np) for those that do
	// not. Both are empty if the tag is missing.
	Policy, SubdomainPolicy, NonexistentPolicy Disposition
	// StrictDKIM (adkim=s) and StrictSPF (aspf=s) require strict alignment.
	StrictDKIM, StrictSPF bool
	// PSD is the tag psd: 'y' for a public suffix, 'n' for an organizational
	// domain, 'u' (the default) if it is unknown.
	PSD byte
	// Testing (t=y) lowers the policy by one level.
	Testing bool
	// Percent (pct) is the percentage of failing messages that the policy applies
	// to; the default is 100. It is used only with Checker.PublicSuffixList,
	// because RFC 9989 has no such tag.
	Percent int
	// Reports (rua) and FailureReports (ruf) are the valid URIs for reports, at
	// most 10 each.
	Reports, FailureReports []string
	// FailureOptions is the tag fo; the default is "0".
	FailureOptions string
	// Err describes the errors in the record, for the owner of the domain. An
	// error in one tag does not affect the other tags, except as the package
	// comment describes for p, sp and np.
	Err error

	noPolicy bool // the record has no p=
	unusable bool // a policy is invalid, and there is no address for reports
}

var errNoRecord = errors.New("not a DMARC record")

// ParseRecord parses a TXT record. It returns an error only if txt is not a DMARC
// record, which begins with v=DMARC1. Other errors are in Record.Err. ParseRecord
// ignores tags after the first 51.
func ParseRecord(txt string) (*Record, error) {
	r := &Record{PSD: 'u', Percent: 100, FailureOptions: "0"}
	seen := map[string]bool{}
	for spec := range strings.SplitSeq(txt, ";") {
		name, value, _ := strings.Cut(spec, "=")
		name, value = strings.ToLower(strings.Trim(name, " \t")), strings.Trim(value, " \t")
		if len(seen) == 0 && (name != "v" || value != "DMARC1") {
			return nil, errNoRecord
		}
		if name == "" || seen[name] {
			continue // RFC 9989, 4.8: syntax errors are ignored
		}
		seen[name] = true
		r.set(name, value)
		if len(seen) > 50 {
			break
		}
	}
	if r.Policy == invalid || r.SubdomainPolicy == invalid || r.NonexistentPolicy == invalid {
		// RFC 9989, 4.10.1: as p=none, if the record has an address for reports.
		r.Policy, r.SubdomainPolicy, r.NonexistentPolicy = NoAction, "", ""
		r.unusable = len(r.Reports) == 0
		return r, nil
	}
	if r.Policy == "" { // RFC 9989, 4.7: as p=none; the other tags apply
		r.Policy, r.noPolicy = NoAction, true
		r.wrong("p", "missing")
	}
	return r, nil
}

// applied returns the record to apply to a message, or nil for no DMARC
// processing. publicSuffixList selects RFC 7489, 6.6.3, where a missing p= counts as an
// invalid one.
func (r *Record) applied(publicSuffixList bool) *Record {
	switch {
	case r.unusable:
		return nil
	case !publicSuffixList || !r.noPolicy:
		return r
	case len(r.Reports) == 0:
		return nil
	}
	c := *r
	c.SubdomainPolicy, c.NonexistentPolicy = "", ""
	return &c
}

const invalid Disposition = "invalid"

func (r *Record) wrong(tag, what string) {
	r.Err = errors.Join(r.Err, errors.New("dmarc: tag "+tag+" is "+what))
}

// set stores the value of a tag. Unknown tags are ignored (RFC 9989, 4.7).
func (r *Record) set(name, value string) {
	if set := tags[name]; set != nil {
		set(r, value)
	}
}

// tags are the functions that store the value of each tag.
var tags = map[string]func(r *Record, value string){
	"p":     func(r *Record, v string) { r.Policy = r.disposition("p", v) },
	"sp":    func(r *Record, v string) { r.SubdomainPolicy = r.disposition("sp", v) },
	"np":    func(r *Record, v string) { r.NonexistentPolicy = r.disposition("np", v) },
	"adkim": func(r *Record, v string) { r.StrictDKIM = strings.ToLower(v) == "s" },
	"aspf":  func(r *Record, v string) { r.StrictSPF = strings.ToLower(v) == "s" },
	"t":     func(r *Record, v string) { r.Testing = strings.ToLower(v) == "y" },
	"psd":   (*Record).setPSD,
	"pct":   (*Record).setPercent,
	"fo":    (*Record).setFailureOptions,
	"rua":   func(r *Record, v string) { r.Reports = r.uris("rua", v) },
	"ruf":   func(r *Record, v string) { r.FailureReports = r.uris("ruf", v) },
}

func (r *Record) setPSD(value string) {
	if lower := strings.ToLower(value); lower == "y" || lower == "n" {
		r.PSD = lower[0]
	}
}

func (r *Record) setPercent(value string) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 || n > 100 {
		r.wrong("pct", "not a number from 0 to 100")
		return
	}
	r.Percent = n
}

func (r *Record) setFailureOptions(value string) {
	if lower := strings.ToLower(value); strings.Trim(lower, "01ds: ") == "" {
		r.FailureOptions = lower
	}
}

func (r *Record) disposition(tag, value string) Disposition {
	switch d := Disposition(strings.ToLower(value)); d {
	case NoAction, Quarantine, Reject:
		return d
	}
	r.wrong(tag, "not valid")
	return invalid
}

// maxURIs is the maximum number of URIs in one tag.
const maxURIs = 10

// uris parses a list of URIs. It ignores the size limit in "mailto:a@b!10m", which
// RFC 9989 has removed.
func (r *Record) uris(name, value string) (uris []string) {
	bad := false
	for s := range strings.SplitSeq(value, ",") {
		s, _, _ = strings.Cut(strings.Trim(s, " \t"), "!")
		u, err := url.Parse(s)
		if err != nil || u.Scheme == "" || u.Opaque == "" && u.Host == "" {
			if !bad { // one error for all invalid URIs
				r.wrong(name, "not a list of URIs")
			}
			bad = true
			continue
		}
		if len(uris) == maxURIs {
			r.wrong(name, "a list of too many URIs")
			break
		}
		uris = append(uris, s)
	}
	return uris
}
