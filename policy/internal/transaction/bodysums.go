package transaction

import (
	"weak"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/policy/internal/dkimsig"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// bodySums are the hashes of a body in its canonical forms, as far as they are
// known. They are valid for this body only: an agent may replace it.
type bodySums struct {
	body weak.Pointer[content.Content] // immutable
	sums [2][]byte
}

// BodySum returns the SHA-256 hash of the canonical form of m's body. It computes
// the hash at most once for a body.
func BodySum(s *smtpserver.Session, m *smtpserver.Message, form dkimsig.Canon) ([]byte, error) {
	if known := sumsOf(s, m); known != nil && known.sums[form] != nil {
		return known.sums[form], nil
	}
	hash := dkimsig.NewBodyHash(form)
	if m.Body != nil {
		if _, err := m.Body.WriteTo(hash); err != nil {
			return nil, err
		}
	}
	sum := hash.Sum()
	SetBodySum(s, m, form, sum)
	return sum, nil
}

// SetBodySum stores the hash of the canonical form of m's body, so that BodySum
// need not compute it.
func SetBodySum(s *smtpserver.Session, m *smtpserver.Message, form dkimsig.Canon, sum []byte) {
	known := sumsOf(s, m)
	if known == nil {
		body, ok := m.Body.(*content.Content)
		if !ok || body == nil { // not known to be immutable
			return
		}
		known = &bodySums{body: weak.Make(body)}
		Set(s, m, known)
	}
	known.sums[form] = sum
}

// sumsOf returns the stored hashes of m's current body, or nil.
func sumsOf(s *smtpserver.Session, m *smtpserver.Message) *bodySums {
	known := Get[bodySums](s, m)
	if body, ok := m.Body.(*content.Content); !ok || known == nil || known.body.Value() != body {
		return nil
	}
	return known
}
