package policy

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// CachedDirectory remembers what another Directory has answered, asks it once
// for many clients that want to know the same at the same time, and for a
// while stands in for it when it is down. It remembers what was asked to the
// letter, since only the other one knows whether the case of letters matters.
type CachedDirectory struct {
	// Directory that is asked.
	Directory Directory
	// Known is how long a recipient is known to exist. Default 1 h.
	Known time.Duration
	// Unknown is how long one is known not to. Default 1 min: a new user
	// should not wait for long.
	Unknown time.Duration
	// Stale is how long after that a recipient is still believed to exist
	// while the Directory is down. That one does not exist is never believed
	// beyond its time. Default 24 h; negative is none.
	Stale time.Duration
	// Timeout for one question. Default 10 s.
	Timeout time.Duration
	// Max is how many answers are kept. Default 100,000.
	Max int

	mu      sync.Mutex // guards what follows
	answers bounded[string, directoryAnswer]
}

// directoryAnswer is what is known of one address.
type directoryAnswer struct {
	exists  bool
	at      time.Time     // of the answer; zero for none
	asking  chan struct{} // closed when the question that is under way ends; nil for none
	waiting error         // how it ended
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
		// What the other one was told goes for all who waited with it, unless
		// it was only its own client that went away.
		d.mu.Lock()
		exists, err := d.verdict(a)
		d.mu.Unlock()
		if !errors.Is(err, context.Canceled) {
			return exists, err
		}
	}
}

// answer is the entry of a key. Called with mu held.
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

// ask puts the question, and lets all know who wait for its answer.
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
		err = fmt.Errorf("policy: directory: %w", ctx.Err()) // no answer in time is no answer
	}
	return exists, err
}

// verdict is what an answer means after its question has ended. Called with
// mu held.
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

// life is how long an answer goes without asking again.
func (d *CachedDirectory) life(a *directoryAnswer) time.Duration {
	known, unknown := d.Known, d.Unknown
	setDefault(&known, time.Hour)
	setDefault(&unknown, time.Minute)
	if a.exists {
		return known
	}
	return unknown
}
