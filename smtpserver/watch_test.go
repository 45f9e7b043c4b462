package smtpserver_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// collect reads what a watcher gets until the channel is closed.
func collect(lines <-chan smtpserver.ProtocolEvent) func() string {
	got := new(said)
	closed := make(chan bool)
	go func() {
		for e := range lines {
			got.Log(e)
		}
		close(closed)
	}()
	return func() string {
		<-closed
		return got.String()
	}
}

// talk is a session with a login and a message.
func (c *raw) talk() {
	c.greet()
	c.send("AUTH PLAIN " + b64("\x00alice\x00wonderland") + "\r\n")
	c.expect("235")
	c.begin()
	c.send("Subject: secret\r\n\r\nbody\r\n.\r\n")
	c.expect("250")
	c.send("QUIT\r\n")
	c.expect("221")
	c.gone()
}

// A watcher sees new sessions from the first line on, and the lines are those of
// the protocol log: without credentials and content.
func TestWatchNewSessions(t *testing.T) {
	log := new(said)
	for name, f := range map[string]smtpserver.WatchFilter{
		"all":       {},
		"connector": {Connector: "edge"},
		"network":   {Client: netip.MustParsePrefix("192.0.2.0/24")},
		"both":      {Connector: "edge", Client: netip.MustParsePrefix("192.0.2.7/32")},
	} {
		t.Run(name, func(t *testing.T) {
			log.events = nil
			srv := &smtpserver.Server{Name: "edge", Auth: wonderland(), AllowInsecureAuth: true, ProtocolLog: log}
			inBubble(t, srv, func(dial func() *raw) {
				ctx, cancel := context.WithCancel(context.Background())
				lines, err := srv.Watch(ctx, f)
				if err != nil {
					t.Fatal(err)
				}
				got := collect(lines)
				dial().talk()
				synctest.Wait()
				cancel()
				text := got()
				if text != log.String() || !strings.HasPrefix(text, "+\n> 220 ") || !strings.HasSuffix(text, "-  | Remote\n") {
					t.Errorf("watched:\n%s\nlogged:\n%s", text, log)
				}
				for _, secret := range []string{"wonderland", b64("\x00alice\x00wonderland"), "secret", "body"} {
					if strings.Contains(text, secret) {
						t.Errorf("%q is shown:\n%s", secret, text)
					}
				}
			})
		})
	}
}

// Without a protocol log, a watcher gets the same lines, also when it comes late.
func TestWatchWithoutProtocolLog(t *testing.T) {
	srv := &smtpserver.Server{Auth: wonderland(), AllowInsecureAuth: true}
	inBubble(t, srv, func(dial func() *raw) {
		c := dial()
		c.greet()
		ctx, cancel := context.WithCancel(context.Background())
		lines, err := srv.Watch(ctx, smtpserver.WatchFilter{})
		if err != nil {
			t.Fatal(err)
		}
		got := collect(lines)
		c.send("AUTH LOGIN\r\n")
		c.expect("334")
		c.send("not base64: my password\r\n")
		c.expect("501")
		c.send("my password again\r\n")
		c.expect("500")
		synctest.Wait()
		cancel()
		want := "< AUTH LOGIN\n> 334 <challenge>\n< <response>\n> 501 5.5.2 Bad base64\n< <redacted>\n> 500 5.5.2 Command unknown\n"
		if text := got(); text != want {
			t.Errorf("watched:\n%s\nwant\n%s", text, want)
		}
		c.Close()
	})
}

// Other sessions are not shown.
func TestWatchFilters(t *testing.T) {
	srv := &smtpserver.Server{Name: "edge"}
	inBubble(t, srv, func(dial func() *raw) {
		c, other := dial(), dial()
		other.greet()
		c.greet()
		synctest.Wait()
		for name, f := range map[string]smtpserver.WatchFilter{
			"session":   {Session: srv.Sessions()[1].ID},
			"connector": {Connector: "inside"},
			"network":   {Client: netip.MustParsePrefix("198.51.100.0/24")},
			"one wrong": {Connector: "edge", Client: netip.MustParsePrefix("2001:db8::/32")},
		} {
			ctx, cancel := context.WithCancel(context.Background())
			lines, err := srv.Watch(ctx, f)
			if err != nil {
				t.Fatal(err)
			}
			got := collect(lines)
			c.send("NOOP\r\n")
			c.expect("250")
			synctest.Wait()
			cancel()
			if text := got(); text != "" {
				t.Errorf("%s: shown:\n%s", name, text)
			}
		}
		c.Close()
		other.Close()
	})
}

// A watch of a session that runs begins with what KeepDialogue has kept, and ends
// with the session.
func TestWatchRunningSession(t *testing.T) {
	srv := &smtpserver.Server{Auth: wonderland(), AllowInsecureAuth: true}
	srv.KeepDialogue(4096)
	inBubble(t, srv, func(dial func() *raw) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		all, err := srv.Watch(ctx, smtpserver.WatchFilter{})
		if err != nil {
			t.Fatal(err)
		}
		c := dial()
		c.greet()
		lines, err := srv.Watch(ctx, smtpserver.WatchFilter{Session: only(t, srv).ID})
		if err != nil {
			t.Fatal(err)
		}
		got := collect(lines)
		kept := new(said)
		dialogue, err := srv.Dialogue(only(t, srv).ID)
		for _, e := range dialogue {
			kept.Log(e)
		}
		if _, none := srv.Dialogue("none"); err != nil || none != smtpserver.ErrNoSession {
			t.Errorf("%v, %v", err, none)
		}
		c.send("QUIT\r\n")
		c.expect("221")
		c.gone()
		want := new(said)
		for e := range all {
			if want.Log(e); e.Kind == '-' {
				break
			}
		}
		if text := kept.String(); !strings.HasPrefix(want.String(), text) || !strings.HasPrefix(text, "+\n> 220") {
			t.Errorf("Dialogue has\n%s\nwant the beginning of\n%s", text, want)
		}
		if text := got(); text != want.String() || !strings.HasPrefix(text, "+\n> 220") {
			t.Errorf("watched:\n%s\nwant\n%s", text, want)
		}
	})
}

// What is kept is bounded, and its beginning says what is missing.
func TestKeepDialogueIsBounded(t *testing.T) {
	srv := &smtpserver.Server{}
	srv.KeepDialogue(1000)
	inBubble(t, srv, func(dial func() *raw) {
		c := dial()
		c.greet()
		for range 100 {
			c.send("NOOP\r\n")
			c.expect("250")
		}
		watch := func() []string {
			ctx, cancel := context.WithCancel(context.Background())
			lines, err := srv.Watch(ctx, smtpserver.WatchFilter{Session: only(t, srv).ID})
			if err != nil {
				t.Fatal(err)
			}
			got := collect(lines)
			synctest.Wait()
			cancel()
			return strings.Split(strings.TrimSuffix(got(), "\n"), "\n")
		}
		kept := watch()
		if !strings.HasSuffix(kept[0], " earlier lines are not kept") || len(kept) < 8 || len(kept) > 1000/72+1 || kept[1] != "< NOOP" && kept[1] != "> 250 2.0.0 Ok" {
			t.Errorf("%d lines: %q", len(kept), kept)
		}
		srv.KeepDialogue(0)
		if kept := watch(); len(kept) != 1 || kept[0] != "" {
			t.Errorf("kept although it is off: %q", kept)
		}
		c.Close()
	})
}

// A watcher that does not read delays no session, and learns how much it lost.
func TestSlowWatcher(t *testing.T) {
	const waiting, rounds = 1000, 1000
	srv := &smtpserver.Server{}
	inBubble(t, srv, func(dial func() *raw) {
		ctx, cancel := context.WithCancel(context.Background())
		lines, err := srv.Watch(ctx, smtpserver.WatchFilter{})
		if err != nil {
			t.Fatal(err)
		}
		c := dial()
		c.greet()
		took(t, 0, func() {
			for range rounds {
				c.send("NOOP\r\n")
				c.expect("250")
			}
		})
		synctest.Wait()
		got := collect(lines)
		synctest.Wait()
		cancel()
		text := strings.Split(got(), "\n")
		marker := slices.IndexFunc(text, func(l string) bool { return strings.Contains(l, "lines lost: the watcher is too slow") })
		// 1000 lines wait, and one more is on its way.
		if marker != waiting+1 || !strings.HasPrefix(text[marker], "*  | ") {
			t.Errorf("the marker is line %d: %q", marker, text[len(text)-2])
		}
		c.Close()
	})
}

func TestWatchErrors(t *testing.T) {
	srv := &smtpserver.Server{}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := srv.Watch(ctx, smtpserver.WatchFilter{Session: "none"}); !errors.Is(err, smtpserver.ErrNoSession) {
		t.Errorf("unknown session: %v", err)
	}
	var watchers []func() string
	for range 16 {
		lines, err := srv.Watch(ctx, smtpserver.WatchFilter{})
		if err != nil {
			t.Fatal(err)
		}
		watchers = append(watchers, collect(lines))
	}
	if _, err := srv.Watch(ctx, smtpserver.WatchFilter{}); !errors.Is(err, smtpserver.ErrTooManyWatchers) {
		t.Errorf("one more: %v", err)
	}
	cancel()
	for _, closed := range watchers {
		closed()
	}
	ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
	lines, err := srv.Watch(ctx, smtpserver.WatchFilter{})
	if err != nil {
		t.Errorf("after the others have left: %v", err)
	}
	cancel()
	collect(lines)()
}
