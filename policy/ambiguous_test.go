package policy

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// twice is a directory in which alice exists, and two entries have office.
func twice(_ context.Context, address string) (bool, error) {
	switch address {
	case "alice@example.com":
		return true, nil
	case "office@example.com":
		return false, fmt.Errorf("directory: %w", ErrAmbiguous)
	case "down@example.com":
		return false, errors.New("no answer")
	}
	return false, nil
}

// A recipient that two entries claim gets 550 5.1.4 (RFC 3463, X.1.4), and not the
// replies for an unknown recipient or a directory that cannot answer.
func TestAmbiguousRecipient(t *testing.T) {
	for _, d := range []Directory{DirectoryFunc(twice), &CachedDirectory{Directory: DirectoryFunc(twice)}, Subaddresses(DirectoryFunc(twice), ""), AnyOf(DirectoryFunc(twice), Recipients("bob"))} {
		srv, _ := install(t, &Gate{Domains: []Domain{{Name: "example.com", Directory: d}}}, &smtpserver.Server{})
		srv.Talk(t, stranger, mailFrom("x@example.net", "250")+`
			C: RCPT TO:<office@example.com>
			S: 550 5.1.4 The recipient's address is ambiguous
			C: RCPT TO:<alice@example.com>
			S: 250
			C: RCPT TO:<mallory@example.com>
			S: 550 5.1.1
			C: RCPT TO:<down@example.com>
			S: 451 4.3.0
		`)
	}
}

// A directory of AnyOf that has the address decides, then one that cannot answer.
func TestAmbiguousInAnyOf(t *testing.T) {
	down := DirectoryFunc(func(context.Context, string) (bool, error) { return false, errors.New("down") })
	for name, tt := range map[string]struct {
		d         Directory
		ok, ambig bool
	}{
		"another has it":    {AnyOf(DirectoryFunc(twice), Recipients("office")), true, false},
		"no other has it":   {AnyOf(DirectoryFunc(twice), Recipients("bob")), false, true},
		"another is down":   {AnyOf(DirectoryFunc(twice), down), false, false},
		"the first is down": {AnyOf(down, DirectoryFunc(twice)), false, false},
	} {
		ok, err := tt.d.Exists(t.Context(), "office@example.com")
		if ok != tt.ok || errors.Is(err, ErrAmbiguous) != tt.ambig || (err == nil) != tt.ok {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
}

// The cache keeps the answer for UnknownTTL. An old answer that the recipient
// exists is not used any more.
func TestAmbiguousIsCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, answer := 0, error(nil)
		d := &CachedDirectory{Directory: DirectoryFunc(func(context.Context, string) (bool, error) {
			calls++
			return answer == nil, answer
		})}
		check := func(ok bool, want error, made int) {
			t.Helper()
			got, err := d.Exists(t.Context(), "a@example.com")
			if got != ok || !errors.Is(err, want) || calls != made {
				t.Errorf("%v, %v after %d calls; want %v, %v after %d", got, err, calls, ok, want, made)
			}
		}
		check(true, nil, 1)
		answer = ErrAmbiguous
		sleep(time.Hour)
		check(false, ErrAmbiguous, 2)
		check(false, ErrAmbiguous, 2)
		answer = nil
		sleep(time.Minute)
		check(true, nil, 3)
	})
}

// Reports and other mail of the organization are not refused because of the
// address: the routing table decides, as for an unknown recipient.
func TestAmbiguousInHook(t *testing.T) {
	ds := mustDomains(t, Domain{Name: "example.com", Kind: InternalRelay, Directory: DirectoryFunc(twice),
		Unresolved: queue.NextHop{Destination: "[192.0.2.9]"}})
	m := &queue.Message{Recipients: []*queue.Recipient{{Addr: "office@example.com"}, {Addr: "bob@example.com"}}}
	if err := ds.Hook().Resolved(t.Context(), m); err != nil || m.Recipients[0].Route != (queue.NextHop{}) || m.Recipients[1].Route.Destination == "" {
		t.Errorf("%v, routes %v and %v", err, m.Recipients[0].Route, m.Recipients[1].Route)
	}
}
