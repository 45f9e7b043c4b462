package dkim

import (
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
)

// A Result is a result of DKIM (RFC 8601, 2.7.1). The zero value means that there
// was no verification.
type Result string

const (
	None      Result = "none"      // the message has no signature
	Pass      Result = "pass"      // the signature is valid
	Fail      Result = "fail"      // the header or the body does not match the signature
	Policy    Result = "policy"    // the signature is not accepted: it has l=, has expired, or exceeds a limit
	Neutral   Result = "neutral"   // the signature has a syntax error
	TempError Result = "temperror" // DNS did not answer
	PermError Result = "permerror" // the key is missing, revoked or too weak, or From is not signed
)

// A Signature is one DKIM-Signature field with the result of its verification.
type Signature struct {
	Result Result
	// Err explains a Result other than Pass. It is nil for Pass.
	Err error
	// Domain (d=), Selector (s=), Identity (i=, by default "@" and Domain) and
	// Algorithm (a=) are tags of the field. They are empty if the field could not
	// be parsed.
	Domain, Selector, Identity, Algorithm string
	// Value is the signature in base64 (b=). Authentication-Results contains its
	// beginning, to distinguish signatures (RFC 6008).
	Value string
	// Fields are the names of the signed header fields (h=).
	Fields []string
	// Time and Expires are the tags t= and x=. They are zero if the tag is
	// missing.
	Time, Expires time.Time
	// Testing reports whether the key has t=y: the domain is testing DKIM, and a
	// failure must be ignored (RFC 6376, 3.6.1).
	Testing bool
}

// A Verdict is the result of the verification of a message.
type Verdict struct {
	// Signatures are in the order of the header, at most Verifier.MaxSignatures.
	Signatures []Signature
	// Ignored is the number of further signatures, which were not verified.
	Ignored int
}

// Result returns Pass if any signature passes. Otherwise it returns TempError if
// any signature has it, because that signature may pass later. Otherwise it
// returns the result of the first signature, or None if there is no signature.
func (v *Verdict) Result() Result {
	if len(v.Signatures) == 0 {
		return None
	}
	best := v.Signatures[0].Result
	for i := range v.Signatures {
		switch r := v.Signatures[i].Result; r {
		case Pass:
			return Pass
		case TempError:
			best = TempError
		}
	}
	return best
}

// Passed reports whether a signature with exactly this domain (d=) passes.
func (v *Verdict) Passed(domain string) bool {
	domain = addr.FoldDomain(domain)
	for i := range v.Signatures {
		s := &v.Signatures[i]
		if s.Result == Pass && addr.FoldDomain(s.Domain) == domain {
			return true
		}
	}
	return false
}
