package arc

import (
	"github.com/bridgehead-mail/bridgehead/policy/internal/lookup"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/authres"
)

// A Result is the state of a chain (RFC 8617, 4.4), or TempError.
type Result string

const (
	None      Result = "none"      // no chain
	Pass      Result = "pass"      // every seal holds, and the message is as the last one left it
	Fail      Result = "fail"      // the chain is broken
	TempError Result = "temperror" // DNS gave no answer
)

// A Verdict is what came of a message's chain.
type Verdict struct {
	Result Result
	// Instances is the number of sets, the i= of the latest.
	Instances int
	// Sealers are the domains that have sealed, the first one first; only
	// where Result is Pass.
	Sealers []string
	// Findings are the results that the sealers wrote down, in the same order
	// (the ARC-Authentication-Results fields behind their i= tag).
	Findings []string
	// Err says what is broken.
	Err error

	final bool // cv=fail was sealed: nothing can be added
}

// AuthResult is the verdict in the words of RFC 8601.
func (v *Verdict) AuthResult() authres.Result {
	r := authres.Result{Method: "arc", Value: string(v.Result), Reason: lookup.PublicText(v.Err)}
	if n := len(v.Sealers); n > 0 {
		r.Properties = []authres.Property{{Type: "header", Name: "d", Value: v.Sealers[n-1]}}
	}
	return r
}
