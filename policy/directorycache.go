package policy

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// CachedDirectory caches the answers of another Directory. It asks once if
// several clients ask about the same address at the same time, and it uses old
// answers for a time while the other directory is down. Addresses are cached
// exactly as they were asked, because only the other directory knows whether
// case matters. The fields must not change once it is used. It is safe for
// concurrent use.
type CachedDirectory struct {
	// Directory is the directory that is asked.
	Directory Directory
	// Known is how long the answer that a recipient exists is cached. Default
	// 1 h.
	Known time.Duration
	// Unknown is how long the answer that a recipient does not exist is
	// cached. Default 1 min, so that a new user can soon get mail.
	Unknown time.Duration
	// Stale is how long after Known a recipient still exists while the
	// Directory fails. The answer that a recipient does not exist is never
	// used after Unknown. Default 24 h; a negative value means none.
	Stale time.Duration
	// Timeout limits one call of the Directory. Default 10 s.
	Timeout time.Duration
	// Max is the maximum number of cached answers. Default 100,000.
	Max int

	mu      sync.Mutex // guards what follows
	answers bounded[string, directoryAnswer]
}

// directoryAnswer is the entry of one address.
type directoryAnswer struct {
	exists  bool
	at      time.Time     // the time of the answer; zero if there is none
	asking  chan struct{} // closed when the current call of the Directory ends; nil if there is none
	waiting error         // the error of the last call
}

// Exists implements Directory.
func (d *CachedDirectory) Exists(ctx context.Context, address string) (bool, error) {
	for {
		d.mu.Lock()
		a := d.answer(address)
		if !a.at.IsZero() && time.Since(a.at) < d.life(a) {
			defer d.mu.Unlock()
			return a.exists, nil
		}
		if a.asking == nil {
			a.asking = make(chan struct{})
			d.mu.Unlock()
			return d.ask(ctx, address, a)
		}
		done := a.asking
		d.mu.Unlock()
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-done:
		}
		// The result is for all clients that waited for it, unless the call
		// was canceled because its own client disconnected.
		d.mu.Lock()
		exists, err := d.verdict(a)
		d.mu.Unlock()
		if !errors.Is(err, context.Canceled) {
			return exists, err
		}
	}
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

// ask calls the Directory and wakes the clients that wait for its answer.
func (d *CachedDirectory) ask(ctx context.Context, address string, a *directoryAnswer) (exists bool, err error) {
	timeout := d.Timeout
	setDefault(&timeout, 10*time.Second)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err = errors.New("policy: the directory panicked") // unless it returns
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if err == nil {
			a.exists, a.at = exists, time.Now()
		}
		a.waiting = err
		close(a.asking)
		a.asking = nil
		exists, err = d.verdict(a)
	}()
	exists, err = d.Directory.Exists(ctx, address)
	if err == nil && ctx.Err() != nil && !exists {
		err = fmt.Errorf("policy: directory: %w", ctx.Err()) // an answer after the timeout does not count
	}
	return exists, err
}

// verdict returns the result after a call of the Directory has ended. The
// caller holds mu.
func (d *CachedDirectory) verdict(a *directoryAnswer) (bool, error) {
	stale := d.Stale
	setDefault(&stale, 24*time.Hour)
	switch {
	case a.waiting == nil:
		return a.exists, nil
	case a.exists && !a.at.IsZero() && time.Since(a.at) < d.life(a)+max(stale, 0):
		return true, nil
	}
	return false, a.waiting
}

// life is how long an answer is used without asking again.
func (d *CachedDirectory) life(a *directoryAnswer) time.Duration {
	known, unknown := d.Known, d.Unknown
	setDefault(&known, time.Hour)
	setDefault(&unknown, time.Minute)
	if a.exists {
		return known
	}
	return unknown
}
