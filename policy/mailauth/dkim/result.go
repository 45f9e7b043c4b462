package dkim

import (
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
)

// A Result is one of RFC 8601, 2.7.1. The zero value means that nothing was
// checked.
type Result string

const (
	None      Result = "none"      // no signature
	Pass      Result = "pass"      // the domain signed the message as it is
	Fail      Result = "fail"      // header or body is not what was signed
	Policy    Result = "policy"    // a signature that we do not take: with l=, expired, or beyond our limits
	Neutral   Result = "neutral"   // a signature that cannot be understood
	TempError Result = "temperror" // DNS gave no answer
	PermError Result = "permerror" // the key is missing, revoked or too weak, or From is not signed
)

// A Signature is one DKIM-Signature field and what came of it.
type Signature struct {
	Result Result
	// Err says why the Result is not Pass; nil for Pass.
	Err error
	// Domain (d=), Selector (s=), Identity (i=, "@" and Domain by default) and
	// Algorithm (a=), as far as they could be read.
	Domain, Selector, Identity, Algorithm string
	// Value is the signature itself in base64 (b=), of which RFC 6008 puts a
	// part into Authentication-Results to tell signatures apart.
	Value string
	// Fields are the names of the signed header fields (h=).
	Fields []string
	// Time and Expires are t= and x=; zero where they are not there.
	Time, Expires time.Time
	// Testing is set where the key says that the domain only tries DKIM out
	// (t=y): a failure means nothing then.
	Testing bool
}

// A Verdict is what came of a message's signatures.
type Verdict struct {
	// Signatures in the order of the header, at most Verifier.MaxSignatures.
	Signatures []Signature
	// Ignored is the number of signatures beyond those.
	Ignored int
}

// Result is the best of the signatures' results: Pass if any passes, then
// TempError, since a pass may come of it, then the first one's; None where
// there is no signature.
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

// Passed says whether that very domain has a signature that passes.
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
