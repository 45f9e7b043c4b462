package oauth

import (
	"context"
	"sync"
	"time"
)

const (
	// maxLifetime is the longest time that a token is used. Entra's live for about
	// an hour, with continuous access evaluation for up to 28 hours.
	maxLifetime = 24 * time.Hour
	// defaultLifetime is that of a token whose response does not say it (RFC 6749,
	// 5.1: expires_in is recommended).
	defaultLifetime = 5 * time.Minute
	// maxEarly is the longest time before its expiry that a token is renewed.
	maxEarly = 5 * time.Minute
	// requestTime is the longest time of a request for a token.
	requestTime = 30 * time.Second
	// retryPause is how long no request is made after one has failed, or after a
	// token was refused.
	retryPause = 10 * time.Second
)

// A Source provides an access token. [Microsoft.Source] and [Google.Source] make one.
// Its methods are safe for concurrent use.
type Source struct {
	fetch func(context.Context) (grant, error)
	name  string

	mu       sync.Mutex
	token    string    // guarded by mu, like all below
	renew    time.Time // from when on the next token is requested
	expires  time.Time // from when on the token is not used
	retry    time.Time // no request after an error, and no Forget, before
	err      error     // of the last request
	renewing *renewal  // the request in progress, or nil
}

// A grant is a token with its lifetime; 0 is unknown.
type grant struct {
	token    string
	lifetime time.Duration
}

// A renewal is a request for a token. Its results are valid when done is closed.
type renewal struct {
	done  chan struct{}
	token string
	err   error
}

// String returns the kind and the name of the account. It is not a secret.
func (s *Source) String() string { return s.name }

// Token returns a token that is valid for some time. Five minutes before a token
// expires, or after 4/5 of a lifetime that is shorter than 25 minutes, the next one is
// requested, and Token returns the old one meanwhile. Without a valid token, Token
// waits for the request, at most 30 seconds, or until ctx ends. All callers share one
// request, which the end of a caller's ctx does not stop.
//
// The error is an [*Error], or that of ctx. After an error, Token returns it for ten
// seconds without a request.
func (s *Source) Token(ctx context.Context) (string, error) {
	s.mu.Lock()
	now := time.Now()
	if s.renewing == nil && !now.Before(s.renew) && (s.err == nil || !now.Before(s.retry)) {
		s.renewing = &renewal{done: make(chan struct{})}
		go s.request(s.renewing)
	}
	r, token, err := s.renewing, s.token, s.err
	valid := now.Before(s.expires)
	s.mu.Unlock()
	switch {
	case valid:
		return token, nil
	case r == nil:
		return "", err
	}
	select {
	case <-r.done:
		return r.token, r.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// request gets the next token.
func (s *Source) request(r *renewal) {
	ctx, cancel := context.WithTimeout(context.Background(), requestTime)
	defer cancel()
	g, err := s.fetch(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.err = err; err != nil {
		s.retry = now.Add(retryPause)
	} else {
		life := min(g.lifetime, maxLifetime)
		if life <= 0 {
			life = defaultLifetime
		}
		early := min(maxEarly, life/5)
		s.token, s.renew, s.expires, s.retry = g.token, now.Add(life-early), now.Add(life-early/5), now.Add(retryPause)
	}
	r.token, r.err, s.renewing = g.token, err, nil
	close(r.done)
}

// Forget drops the token, because a server has refused it: the rights of the account
// are in the token, and may have changed since it was issued. Forget does nothing in
// the ten seconds after a request.
func (s *Source) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().Before(s.retry) {
		return
	}
	s.token, s.renew, s.expires = "", time.Time{}, time.Time{}
}
