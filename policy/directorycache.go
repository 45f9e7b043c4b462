package policy

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// CachedDirectory caches the answers of another Directory. If several clients
// need the same address at the same time, it calls the other directory only
// once. If the other directory fails, it uses old answers for a time. Addresses
// that differ in upper and lower case have separate cache entries, because only
// the other directory knows whether case matters. The fields must not change
// once it is used. It is safe for concurrent use.
type CachedDirectory struct {
	// Directory is the directory that is asked.
	Directory Directory
	// KnownTTL is the time for which the cache keeps the answer that a
	// recipient exists. Default 1 h.
	KnownTTL time.Duration
	// UnknownTTL is the time for which the cache keeps the answer that a
	// recipient does not exist, or that its address is ambiguous. Default 1 min, so that a new user can soon get
	// mail.
	UnknownTTL time.Duration
	// StaleTTL applies if the Directory fails: the answer that a recipient
	// exists is then used for this additional time after KnownTTL. The answer
	// that a recipient does not exist is never used after UnknownTTL. Default
	// 24 h; a negative value means no additional time.
	StaleTTL time.Duration
	// Timeout limits one call of the Directory. Default 10 s.
	Timeout time.Duration
	// Max is the maximum number of cached answers. Default 100,000.
	Max int

	calls   singleflight.Group // one call of Directory for each address at a time
	mu      sync.Mutex         // guards answers
	answers bounded[string, directoryAnswer]
}

// directoryAnswer is the entry of one address.
type directoryAnswer struct {
	exists    bool
	ambiguous error     // wraps ErrAmbiguous; the recipient then does not exist
	at        time.Time // the time of the answer; zero if there is none
}

// Exists implements Directory. If the client disconnects, the call of the
// Directory continues until it returns or Timeout expires, because other
// clients may wait for the same answer.
func (d *CachedDirectory) Exists(ctx context.Context, address string) (bool, error) {
	if exists, ok, err := d.cached(address); ok {
		return exists, err
	}
	answer := d.calls.DoChan(address, func() (any, error) {
		return d.ask(context.WithoutCancel(ctx), address)
	})
	select {
	case r := <-answer:
		return r.Val.(bool), r.Err
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// cached returns the answer for an address if it can be used without a call of
// the Directory.
func (d *CachedDirectory) cached(address string) (exists, ok bool, ambiguous error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.answer(address)
	return a.exists, !a.at.IsZero() && time.Since(a.at) < d.life(a), a.ambiguous
}

// answer returns the entry of a key. The caller holds mu.
func (d *CachedDirectory) answer(key string) *directoryAnswer {
	if d.answers.max == 0 {
		if d.answers.max = d.Max; d.answers.max <= 0 {
			d.answers.max = 100_000
		}
		d.answers.used = func(a *directoryAnswer) int64 { return a.at.Unix() }
	}
	a, _ := d.answers.get(key)
	return a
}

// ask calls the Directory and stores its answer. If the call fails, it uses an
// answer that is not older than StaleTTL allows.
func (d *CachedDirectory) ask(ctx context.Context, address string) (bool, error) {
	if exists, ok, err := d.cached(address); ok {
		return exists, err // another call has just ended
	}
	exists, err := d.call(ctx, address)
	stale := d.StaleTTL
	setDefault(&stale, 24*time.Hour)
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.answer(address)
	switch {
	case err == nil:
		a.exists, a.ambiguous, a.at = exists, nil, time.Now()
		return exists, nil
	case errors.Is(err, ErrAmbiguous):
		a.exists, a.ambiguous, a.at = false, err, time.Now()
		return false, err
	case a.exists && !a.at.IsZero() && time.Since(a.at) < d.life(a)+max(stale, 0):
		return true, nil
	}
	return false, err
}

// call calls the Directory. A panic is an error: no session's goroutine runs
// call, so no session could recover it.
func (d *CachedDirectory) call(ctx context.Context, address string) (exists bool, err error) {
	timeout := d.Timeout
	setDefault(&timeout, 10*time.Second)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			exists, err = false, fmt.Errorf("policy: the directory panicked: %v\n%s", p, debug.Stack())
		}
	}()
	exists, err = d.Directory.Exists(ctx, address)
	if err == nil && ctx.Err() != nil && !exists {
		err = fmt.Errorf("policy: directory: %w", ctx.Err()) // an answer after the timeout does not count
	}
	return exists, err
}

// life is how long an answer is used without asking again.
func (d *CachedDirectory) life(a *directoryAnswer) time.Duration {
	known, unknown := d.KnownTTL, d.UnknownTTL
	setDefault(&known, time.Hour)
	setDefault(&unknown, time.Minute)
	if a.exists {
		return known
	}
	return unknown
}
