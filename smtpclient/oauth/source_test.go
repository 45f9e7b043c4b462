package oauth

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// scripted returns a Source whose requests take two seconds. request n gets reply(n),
// with n from 1.
func scripted(requests *int, reply func(n int) (grant, error)) *Source {
	return &Source{fetch: func(ctx context.Context) (grant, error) {
		*requests++
		n := *requests
		select {
		case <-time.After(2 * time.Second):
			return reply(n)
		case <-ctx.Done():
			return grant{}, errTime
		}
	}}
}

func numbered(n int) (grant, error) { return grant{fmt.Sprint("token ", n), time.Hour}, nil }

func want(t *testing.T, s *Source, token string, err error) {
	t.Helper()
	if got, e := s.Token(t.Context()); got != token || !errors.Is(e, err) {
		t.Errorf("%q, %v; want %q, %v", got, e, token, err)
	}
}

// All sessions share one request.
func TestOneRequestForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requests := 0
		s := scripted(&requests, numbered)
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { want(t, s, "token 1", nil) })
		}
		wg.Wait()
		time.Sleep(50 * time.Minute)
		want(t, s, "token 1", nil)
		if requests != 1 {
			t.Errorf("%d requests", requests)
		}
	})
}

// The next token is requested before the old one expires, and no session waits for it.
func TestRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requests := 0
		s := scripted(&requests, numbered)
		want(t, s, "token 1", nil)
		time.Sleep(55*time.Minute - time.Second)
		want(t, s, "token 1", nil)
		synctest.Wait()
		if requests != 1 {
			t.Errorf("%d requests before the time", requests)
		}
		time.Sleep(time.Second)
		before := time.Now()
		want(t, s, "token 1", nil)
		want(t, s, "token 1", nil)
		if time.Since(before) != 0 {
			t.Error("a session has waited")
		}
		time.Sleep(3 * time.Second)
		want(t, s, "token 2", nil)
		if requests != 2 {
			t.Errorf("%d requests", requests)
		}
	})
}

// While the endpoint fails, the old token is used until it expires, and requests have
// a pause of ten seconds.
func TestEndpointFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requests, down := 0, errors.New("down")
		s := scripted(&requests, func(n int) (grant, error) {
			if n == 1 || n > 5 {
				return numbered(n)
			}
			return grant{}, down
		})
		want(t, s, "token 1", nil)
		time.Sleep(55 * time.Minute)
		want(t, s, "token 1", nil) // requests the second one
		time.Sleep(3 * time.Second)
		want(t, s, "token 1", nil) // no request: the pause
		time.Sleep(3 * time.Minute)
		want(t, s, "token 1", nil) // the third
		time.Sleep(time.Hour)
		want(t, s, "", down) // the fourth
		want(t, s, "", down)
		if requests != 4 {
			t.Errorf("%d requests", requests)
		}
		time.Sleep(retryPause)
		want(t, s, "", down)
		time.Sleep(retryPause)
		want(t, s, "token 6", nil)
	})
}

// The end of one session does not stop the request of the others.
func TestCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requests := 0
		s := scripted(&requests, numbered)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() { want(t, s, "token 1", nil) })
		if _, err := s.Token(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		wg.Wait()
		if requests != 1 {
			t.Errorf("%d requests", requests)
		}
	})
}

// A request without an end ends after 30 seconds.
func TestRequestTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Source{fetch: func(ctx context.Context) (grant, error) {
			<-ctx.Done()
			return grant{}, errTime
		}}
		begin := time.Now()
		want(t, s, "", errTime)
		if d := time.Since(begin); d != requestTime {
			t.Error(d)
		}
	})
}

// Lifetimes that are short, unknown or very long have sensible times of renewal.
func TestLifetimes(t *testing.T) {
	for life, times := range map[time.Duration]struct{ renew, expire time.Duration }{
		time.Hour:        {55 * time.Minute, 59 * time.Minute},
		5 * time.Minute:  {4 * time.Minute, 288 * time.Second},
		0:                {4 * time.Minute, 288 * time.Second},
		10 * time.Second: {8 * time.Second, 9600 * time.Millisecond},
		1000 * time.Hour: {24*time.Hour - 5*time.Minute, 24*time.Hour - time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			requests := 0
			s := scripted(&requests, func(int) (grant, error) { return grant{"token", life}, nil })
			want(t, s, "token", nil)
			now := time.Now()
			if s.renew.Sub(now) != times.renew || s.expires.Sub(now) != times.expire {
				t.Errorf("%v: renewed after %v, used for %v", life, s.renew.Sub(now), s.expires.Sub(now))
			}
		})
	}
}

// A token whose lifetime is shorter than the pause after an error is replaced when it
// has expired.
func TestVeryShortLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requests := 0
		s := scripted(&requests, func(n int) (grant, error) { return grant{fmt.Sprint("token ", n), time.Second}, nil })
		for n := range 3 {
			want(t, s, fmt.Sprint("token ", n+1), nil)
			time.Sleep(time.Second)
		}
	})
}

// A token that a server has refused is replaced, but not more often than every ten
// seconds: a new one may be refused too.
func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requests := 0
		s := scripted(&requests, numbered)
		want(t, s, "token 1", nil)
		for range 100 {
			s.Forget()
			want(t, s, "token 1", nil)
		}
		time.Sleep(retryPause)
		s.Forget()
		want(t, s, "token 2", nil)
		if requests != 2 {
			t.Errorf("%d requests", requests)
		}
	})
}
