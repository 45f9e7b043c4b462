package spf

import (
	"fmt"
	"net/netip"
)

// A Result is one of the seven of RFC 7208, 2.6. The zero value means that
// nothing was checked.
type Result string

const (
	None      Result = "none"      // no policy, or no domain to ask for one
	Neutral   Result = "neutral"   // the policy says nothing about this host
	Pass      Result = "pass"      // the host may send for the domain
	Fail      Result = "fail"      // it may not
	SoftFail  Result = "softfail"  // it probably may not
	TempError Result = "temperror" // DNS gave no answer: try again later
	PermError Result = "permerror" // the policy cannot be understood
)

// A Verdict is what a domain's policy says about a host.
type Verdict struct {
	Result Result
	// Domain is the one whose policy was asked, and Sender the address that
	// it was taken from: the reverse-path or, where that is null,
	// postmaster@ and the HELO name.
	Domain, Sender string
	// IP is the address of the host that was asked about.
	IP netip.Addr
	// Helo is set where the domain is the HELO name.
	Helo bool
	// Term is the mechanism that decided, as it stands in the record; empty
	// where none matched.
	Term string
	// Explanation is the domain's own text for a Fail, printable ASCII of at
	// most 400 octets; often empty. It is the words of a stranger.
	Explanation string
	// Err says what is wrong, and in which domain's record and term, where
	// Result is None, TempError or PermError.
	Err error
}

// A termError is a TempError or PermError and where it came up.
type termError struct {
	result Result
	domain string // whose record it is
	term   string // as it stands there; empty for the record as a whole
	err    error
}

func (e *termError) Error() string {
	if e.term == "" {
		return fmt.Sprintf("spf: %s: %v", e.domain, e.err)
	}
	return fmt.Sprintf("spf: %s: %q: %v", e.domain, e.term, e.err)
}

func (e *termError) Unwrap() error { return e.err }
