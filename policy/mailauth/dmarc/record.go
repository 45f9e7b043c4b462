package dmarc

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
)

// A Disposition is what is to become of mail that fails.
type Disposition string

const (
	NoAction   Disposition = "none"
	Quarantine Disposition = "quarantine"
	Reject     Disposition = "reject"
)

// less is one level below (RFC 9989, 4.7, t; RFC 7489, 6.3, pct).
func (d Disposition) less() Disposition {
	if d == Reject {
		return Quarantine
	}
	return NoAction
}

// A Record is a published policy (RFC 9989, 4.7).
type Record struct {
	// Policy (p, "none" where the record does not have it), and those for
	// subdomains that exist (sp) and that do not (np), which are empty where the
	// record does not have them.
	Policy, SubdomainPolicy, NonexistentPolicy Disposition
	// StrictDKIM and StrictSPF (adkim=s, aspf=s).
	StrictDKIM, StrictSPF bool
	// PSD is 'y' for a public suffix, 'n' for an organizational domain, 'u'
	// by default.
	PSD byte
	// Testing (t=y) asks for one level less than the policy.
	Testing bool
	// Percent (pct) of failing mail that the policy is for. It counts with
	// Checker.PublicSuffixList only: RFC 9989 has no such tag. Default 100.
	Percent int
	// Reports and FailureReports (rua, ruf) are valid URIs.
	Reports, FailureReports []string
	// FailureOptions (fo), "0" by default.
	FailureOptions string
	// Err says what is wrong in the record, for the domain's owner: a
	// mistake in one tag does not spoil the others.
	Err error

	noPolicy bool // the record has no p=
	unusable bool // a policy is not valid, and there is nowhere to report that to
}

var errNoRecord = errors.New("not a DMARC record")

// ParseRecord reads a TXT record of a name that begins with _dmarc. It fails
// only where that is no DMARC record: v=DMARC1 must come first.
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
		// RFC 9989, 4.10.1: as p=none, if there is somebody to tell.
		r.Policy, r.SubdomainPolicy, r.NonexistentPolicy = NoAction, "", ""
		r.unusable = len(r.Reports) == 0
		return r, nil
	}
	if r.Policy == "" { // RFC 9989, 4.7: as p=none; the other tags count
		r.Policy, r.noPolicy = NoAction, true
		r.wrong("p", "missing")
	}
	return r, nil
}

// applied is the record by which mail is judged; nil for no DMARC processing.
// In RFC 7489, 6.6.3, which the public suffix list belongs to, a record without
// p= is like one with an invalid p=.
func (r *Record) applied(byList bool) *Record {
	switch {
	case r.unusable:
		return nil
	case !byList || !r.noPolicy:
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

func (r *Record) set(name, value string) {
	lower := strings.ToLower(value)
	switch name {
	case "p":
		if r.Policy = disposition(lower); r.Policy == invalid {
			r.wrong(name, "not valid")
		}
	case "sp":
		if r.SubdomainPolicy = disposition(lower); r.SubdomainPolicy == invalid {
			r.wrong(name, "not valid")
		}
	case "np":
		if r.NonexistentPolicy = disposition(lower); r.NonexistentPolicy == invalid {
			r.wrong(name, "not valid")
		}
	case "adkim":
		r.StrictDKIM = lower == "s"
	case "aspf":
		r.StrictSPF = lower == "s"
	case "t":
		r.Testing = lower == "y"
	case "psd":
		if lower == "y" || lower == "n" {
			r.PSD = lower[0]
		}
	case "pct":
		if n, err := strconv.Atoi(value); err == nil && n >= 0 && n <= 100 {
			r.Percent = n
		} else {
			r.wrong(name, "not a number from 0 to 100")
		}
	case "fo":
		if strings.Trim(lower, "01ds: ") == "" {
			r.FailureOptions = lower
		}
	case "rua":
		r.Reports = r.uris(name, value)
	case "ruf":
		r.FailureReports = r.uris(name, value)
	}
}

func disposition(s string) Disposition {
	switch d := Disposition(s); d {
	case NoAction, Quarantine, Reject:
		return d
	}
	return invalid
}

// maxURIs bounds the destinations of one record.
const maxURIs = 10

// uris reads a list of URIs; of "mailto:a@b!10m" the size limit, which RFC
// 9989 has abolished, is passed over.
func (r *Record) uris(name, value string) (uris []string) {
	bad := false
	for s := range strings.SplitSeq(value, ",") {
		s, _, _ = strings.Cut(strings.Trim(s, " \t"), "!")
		u, err := url.Parse(s)
		if err != nil || u.Scheme == "" || u.Opaque == "" && u.Host == "" {
			if !bad { // it is said once, however many there are
				r.wrong(name, "not a list of URIs")
			}
			bad = true
			continue
		}
		if len(uris) == maxURIs {
			r.wrong(name, "too long a list")
			break
		}
		uris = append(uris, s)
	}
	return uris
}
