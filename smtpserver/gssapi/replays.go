package gssapi

import (
	"crypto/sha256"
	"errors"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// replays remembers the authenticators of the last minutes (RFC 4120, 3.2.3). The
// cache of the library accepts two copies that arrive together, and runs forever.
type replays struct {
	mu   sync.Mutex // guards all below
	now  map[[sha256.Size]byte]bool
	old  map[[sha256.Size]byte]bool // the generation before
	from time.Time                  // when now began
}

const (
	// lifetime is how long an authenticator can be valid: its time may be skew
	// before or after that of the server.
	lifetime = 2 * skew
	// maxReplays bounds each generation: about 1,700 logins a second for ten
	// minutes. Further logins get 454. Only a client with a valid ticket adds one.
	maxReplays = 1 << 20
)

// add adds an authenticator that was received at a time. It returns an error if
// it was added within its lifetime.
func (r *replays) add(authenticator []byte, at time.Time) error {
	sum := sha256.Sum256(authenticator)
	r.mu.Lock()
	defer r.mu.Unlock()
	if age := at.Sub(r.from); age >= lifetime || r.now == nil {
		r.old = r.now
		if age >= 2*lifetime {
			r.old = nil
		}
		r.now, r.from = make(map[[sha256.Size]byte]bool), at
	}
	if r.now[sum] || r.old[sum] {
		return errors.New("GSSAPI: the login is a copy of an earlier one")
	}
	if len(r.now) >= maxReplays {
		return &smtp.SMTPError{Code: 454, EnhancedCode: smtp.EnhancedCode{4, 7, 0}, Message: "Temporary authentication failure"}
	}
	r.now[sum] = true
	return nil
}
