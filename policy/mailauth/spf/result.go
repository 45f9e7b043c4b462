package spf

import (
	"fmt"
	"net/netip"
)

// A Result is one of the seven results of RFC 7208, 2.6. The zero value means
// that there was no check.
type Result string

const (
	None      Result = "none"      // the domain has no policy, or there is no valid domain
	Neutral   Result = "neutral"   // the policy makes no statement about the host
	Pass      Result = "pass"      // the host may send mail for the domain
	Fail      Result = "fail"      // the host may not send mail for the domain
	SoftFail  Result = "softfail"  // the host probably may not send mail for the domain
	TempError Result = "temperror" // DNS did not answer: try again later
	PermError Result = "permerror" // the policy is invalid
)

// A Verdict is the result of a check, with details.
type Verdict struct {
	Result Result
	// Domain is the domain whose policy was checked. Sender is the address that
	// Domain was taken from: the reverse-path or, if that is null, postmaster at
	// the HELO name.
	Domain, Sender string
	// IP is the address of the host that was checked.
	IP netip.Addr
	// Helo reports whether Domain is the HELO name.
	Helo bool
	// Term is the mechanism that matched, as written in the record. It is empty
	// if no mechanism matched.
	Term string
	// Explanation is the text that the domain provides for a Fail (RFC 7208,
	// 6.2): at most 400 octets of printable ASCII, often empty. The owner of the
	// domain wrote it: do not trust it.
	Explanation string
	// Err describes the error if Result is None, TempError or PermError. It names
	// the domain and the term of its record.
	Err error
}

// A termError is the error of a record or of a term.
type termError struct {
	result Result
	domain string // owner of the record
	term   string // as written in the record; empty for the whole record
	err    error
}

func (e *termError) Error() string {
	if e.term == "" {
		return fmt.Sprintf("spf: %s: %v", e.domain, e.err)
	}
	return fmt.Sprintf("spf: %s: %q: %v", e.domain, e.term, e.err)
}

func (e *termError) Unwrap() error { return e.err }
