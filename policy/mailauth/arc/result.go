package arc

import (
	"github.com/bridgehead-mail/bridgehead/policy/internal/lookup"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/authres"
)

// A Result is the state of a chain (RFC 8617, 4.4), or TempError.
type Result string

const (
	None      Result = "none"      // the message has no chain
	Pass      Result = "pass"      // all seals and the last message signature are valid
	Fail      Result = "fail"      // the chain is broken
	TempError Result = "temperror" // DNS did not answer
)

// A Verdict is the result of the verification of a chain.
type Verdict struct {
	Result Result
	// Instances is the number of sets, which is the i= tag of the latest set.
	Instances int
	// Sealers are the domains of the seals, the first seal first. It is set only
	// if Result is Pass.
	Sealers []string
	// RecordedResults are the results that the sealers recorded, in the order
	// of Sealers: the text of each ARC-Authentication-Results field after its
	// i= tag. It is set only if Result is Pass.
	RecordedResults []string
	// Err explains a Fail or a TempError.
	Err error

	final bool // the chain ends with cv=fail: no set can be added
}

// AuthResult returns the verdict as a result for the Authentication-Results field
// (RFC 8601).
func (v *Verdict) AuthResult() authres.Result {
	r := authres.Result{Method: "arc", Value: string(v.Result), Reason: lookup.PublicText(v.Err)}
	if n := len(v.Sealers); n > 0 {
		r.Properties = []authres.Property{{Type: "header", Name: "d", Value: v.Sealers[n-1]}}
	}
	return r
}
