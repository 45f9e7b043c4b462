package policy

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

func exists(t testing.TB, d Directory, address string) bool {
	t.Helper()
	ok, err := d.Exists(t.Context(), address)
	if err != nil {
		t.Errorf("%s: %v", address, err)
	}
	return ok
}

func TestRecipients(t *testing.T) {
	d := Recipients("alice", "Bob@Example.com", "jörg@bücher.example", `"a b"`)
	for address, want := range map[string]bool{
		"alice@example.com": true, "ALICE@any.example": true, "alice": true,
		"bob@EXAMPLE.com": true, "bob@example.net": false, "bob": false,
		"JÖRG@xn--bcher-kva.example": true, `"a b"@example.com`: true,
		"": false, "alice@example.com@x": false,
		// Unnecessary quotes are not part of the address (RFC 5321, 4.1.2).
		`"alice"@example.com`: true, `"\al\ice"@example.com`: true, `"a\ b"@example.com`: true,
		`"bob@example.com"@example.net`: false, `"alice@example.com"`: false, `"alice`: false, `"alice\"@example.com`: false,
	} {
		if exists(t, d, address) != want {
			t.Errorf("%q: %v", address, !want)
		}
	}
}

func TestSubaddresses(t *testing.T) {
	d := Subaddresses(Recipients("alice", "bob@example.com", "c+d"), "")
	for address, want := range map[string]bool{
		"alice+lists@example.com": true, "alice+a+b@example.com": true, "alice@example.com": true,
		"bob+x@example.com": true, "bob+x@example.net": false, "c+d@example.com": true, "c+e@example.com": false,
		"+alice@example.com": false, "mallory+alice@example.com": false, "alice-x@example.com": false,
		`"alice+x"@example.com`: true, "alice+x": true,
		// The text after the plus is not checked, and does not add another
		// user.
		"alice+x%victim.example@example.com": false, "alice+x!y@example.com": false, `"alice+x@victim.example"@example.com`: false,
	} {
		if exists(t, d, address) != want {
			t.Errorf("%q: %v", address, !want)
		}
	}
	if !exists(t, Subaddresses(Recipients("alice"), "+-"), "alice-x@example.com") {
		t.Error("alice-x does not exist with separators +-")
	}
	down := DirectoryFunc(func(context.Context, string) (bool, error) { return false, errors.New("down") })
	if _, err := Subaddresses(down, "").Exists(t.Context(), "alice+x@example.com"); err == nil {
		t.Error("no error from a directory that is down")
	}
}

func TestAnyOf(t *testing.T) {
	down := DirectoryFunc(func(context.Context, string) (bool, error) { return false, errors.New("down") })
	d := AnyOf(Recipients("alice"), down, Recipients("bob"))
	if !exists(t, d, "alice") || !exists(t, d, "bob") {
		t.Error("a directory was not asked")
	}
	if _, err := d.Exists(t.Context(), "carol"); err == nil {
		t.Error("no error, although one directory is down")
	}
	if exists(t, AnyOf(), "alice") {
		t.Error("an unknown recipient exists")
	}
}

// Recipients that the directory does not list are refused, routed, or
// delivered to the CatchAll.
func TestUnknownRecipients(t *testing.T) {
	srv, out := install(t, &Gate{Domains: []Domain{
		{Name: "catch.example", Directory: Recipients("alice"), CatchAll: "rest@catch.example"},
		{Name: "shared.example", Kind: InternalRelay, Directory: Recipients("bob"),
			Unresolved: queue.NextHop{Connector: "old system", Destination: "old.example"}},
	}}, &smtpserver.Server{})
	srv.Talk(t, stranger, `
		S: 220
		C: EHLO client.example
		S: 250
		C: MAIL FROM:<someone@example.net>
		S: 250
		C: RCPT TO:<alice@catch.example>
		C: RCPT TO:<nobody@catch.example>
		C: RCPT TO:<anybody@catch.example>
		C: RCPT TO:<bob@shared.example>
		C: RCPT TO:<carol@shared.example>
		S: 250
		S: 250
		S: 250
		S: 250
		S: 250
	`+body+"S: 250")
	m := out.only(t)
	want := []queue.Recipient{
		{Addr: "alice@catch.example"},
		{Addr: "rest@catch.example"}, // one lookup for both
		{Addr: "bob@shared.example"},
		{Addr: "carol@shared.example", Route: queue.NextHop{Connector: "old system", Destination: "old.example"}},
	}
	if len(m.Recipients) != len(want) {
		t.Fatalf("%d recipients, want %d", len(m.Recipients), len(want))
	}
	for i, r := range m.Recipients {
		if r.Addr != want[i].Addr || r.Route != want[i].Route {
			t.Errorf("recipient %d: %s by %v, want %s by %v", i, r.Addr, r.Route, want[i].Addr, want[i].Route)
		}
	}
	if o := m.Recipients[1].Options; o.OriginalRecipient != "nobody@catch.example" || o.OriginalRecipientType != "RFC822" {
		t.Errorf("original recipient %+v", o)
	}
	if o := m.Recipients[0].Options.OriginalRecipient; o != "" {
		t.Errorf("original recipient of a recipient that was not changed: %q", o)
	}
	for _, d := range []Domain{
		{Name: "a.example", CatchAll: "x@a.example"},
		{Name: "a.example", Directory: Recipients(), CatchAll: "x"},
		{Name: "a.example", Kind: ExternalRelay, Directory: Recipients(), CatchAll: "x@a.example"},
		{Name: "a.example", Directory: Recipients(), Unresolved: queue.NextHop{Destination: "b"}},
		{Name: "a.example", Kind: InternalRelay, Unresolved: queue.NextHop{Destination: "b"}},
	} {
		if _, err := NewDomains(d); err == nil || !strings.Contains(err.Error(), `accepted domain "a.example"`) {
			t.Errorf("%+v: error %v", d, err)
		}
	}
}

func TestFileDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "recipients")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	d := &FileDirectory{Path: path}
	knows := func(address string) bool {
		t.Helper()
		now = now.Add(10 * time.Second)
		names, err := d.list(now)
		if err != nil {
			t.Errorf("%s: %v", address, err)
		}
		return inAddressSet(names, address)
	}
	if _, err := d.Exists(t.Context(), "alice@example.com"); err == nil {
		t.Error("no error without a file")
	}
	if err := d.Load(); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("Load without a file: %v", err)
	}
	write("# users\nalice\nBob@example.com # the boss\n\n")
	if !knows("alice@example.com") || !knows("bob@example.com") || knows("carol@example.com") {
		t.Error("the list is wrong")
	}
	write("carol\n")
	if names, err := d.list(now.Add(time.Second)); err != nil || !inAddressSet(names, "alice") {
		t.Error("read too early")
	}
	if !knows("carol@example.com") || knows("alice@example.com") {
		t.Error("the new list is not used")
	}
	// If the new file is bad or missing, the previous list stays in use.
	write("carol\nthis is no address\n")
	if !knows("carol@example.com") {
		t.Error("a bad file changes the list")
	}
	if err := d.Load(); err == nil || !strings.Contains(err.Error(), `line 2: "this is no address"`) {
		t.Errorf("the error does not name the line: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if !knows("carol@example.com") {
		t.Error("a missing file changes the list")
	}
	write("dave\n")
	if !knows("dave@example.com") {
		t.Error("the repaired file is not read")
	}
	// A file without recipients was truncated, or is incomplete. It does not
	// replace the list.
	for _, noRecipients := range []string{"", "# recipients\n", "\n\n"} {
		write(noRecipients)
		if !knows("dave@example.com") {
			t.Errorf("%q changes the list", noRecipients)
		}
		if err := d.Load(); err == nil || !strings.Contains(err.Error(), "no recipient") {
			t.Errorf("%q: error %v", noRecipients, err)
		}
		if _, err := (&FileDirectory{Path: path}).Exists(t.Context(), "dave@example.com"); err == nil {
			t.Errorf("%q: no error", noRecipients)
		}
	}
	// Files from other systems may have a byte order mark and other line ends.
	// A # inside a name is a letter.
	write("\ufeffalice\r\nc#@example.com # the language\r\nbob\t# not here\r\n")
	if !knows("alice@example.com") || !knows("c#@example.com") || knows("c@example.com") || !knows("bob@example.com") {
		t.Error("the list is wrong")
	}
	small := &FileDirectory{Path: path, MaxSize: 3}
	if err := small.Load(); err == nil || !strings.Contains(err.Error(), "MaxSize") {
		t.Errorf("above MaxSize: %v", err)
	}
}

// A file that changes is not read until it has not changed for Interval.
func TestFileDirectoryIncompleteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "recipients")
	began := time.Now()
	write := func(text string, at time.Duration) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, began.Add(at)); err != nil {
			t.Fatal(err)
		}
	}
	d := &FileDirectory{Path: path}
	knows := func(address string, at time.Duration) bool {
		t.Helper()
		names, err := d.list(began.Add(at))
		if err != nil {
			t.Fatal(err)
		}
		return inAddressSet(names, address)
	}
	write("alice\nbob\n", 0)
	if !knows("bob", time.Second) { // there is no previous list
		t.Error("the first file is not read immediately")
	}
	write("alice\n", 10*time.Second) // bob is written later
	if !knows("bob", 12*time.Second) {
		t.Error("an incomplete file is used")
	}
	write("alice\nbob\ncarol\n", 13*time.Second)
	if !knows("bob", 18*time.Second) || !knows("carol", 18*time.Second) {
		t.Error("not read after Interval without a change")
	}
	write("dave\n", time.Hour) // the clock of the file server is ahead
	if !knows("dave", 30*time.Second) {
		t.Error("not read")
	}
}

func TestCachedDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		var down atomic.Bool
		d := &CachedDirectory{StaleTTL: 2 * time.Hour, Directory: DirectoryFunc(func(_ context.Context, address string) (bool, error) {
			asked.Add(1)
			sleep(time.Second)
			if down.Load() {
				return false, errors.New("down")
			}
			return strings.HasPrefix(address, "alice"), nil
		})}
		ask := func(address string, want bool, questions int32) {
			t.Helper()
			before := asked.Load()
			if exists(t, d, address) != want {
				t.Errorf("%s: %v", address, !want)
			}
			if n := asked.Load() - before; n != questions {
				t.Errorf("%s: asked %d times, want %d", address, n, questions)
			}
		}
		ask("alice@example.com", true, 1)
		ask("alice@example.com", true, 0)
		// If case matters in the directory, a query in upper case does not
		// change the answer for the address in lower case.
		ask("ALICE@Example.com", false, 1)
		ask("alice@example.com", true, 0)
		ask("bob@example.com", false, 1)
		ask("bob@example.com", false, 0)
		sleep(time.Minute)
		ask("bob@example.com", false, 1)
		sleep(time.Hour)
		ask("alice@example.com", true, 1)

		// While the directory is down, known recipients still exist for a time.
		down.Store(true)
		sleep(2 * time.Hour)
		ask("alice@example.com", true, 1)
		if _, err := d.Exists(t.Context(), "bob@example.com"); err == nil {
			t.Error("a known recipient does not exist while the directory is down")
		}
		sleep(time.Hour)
		if _, err := d.Exists(t.Context(), "alice@example.com"); err == nil {
			t.Error("still used after StaleTTL")
		}
		down.Store(false)
		ask("alice@example.com", true, 1)

		// Several clients need the same address at the same time.
		before := asked.Load()
		results := make(chan bool, 50)
		for range cap(results) {
			go func() {
				ok, err := d.Exists(t.Context(), "alice2@example.com")
				results <- ok && err == nil
			}()
		}
		for range cap(results) {
			if !<-results {
				t.Error("one client got another answer")
			}
		}
		if n := asked.Load() - before; n != 1 {
			t.Errorf("asked %d times for all clients", n)
		}
	})
}

// A client that goes away does not spoil the answer for those who wait with
// it, and a directory that hangs costs its Timeout.
func TestCachedDirectoryCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &CachedDirectory{Timeout: 5 * time.Second, Directory: DirectoryFunc(func(ctx context.Context, address string) (bool, error) {
			wait := time.Second
			if strings.HasPrefix(address, "hang") {
				wait = time.Hour
			}
			select {
			case <-time.After(wait):
				return true, nil
			case <-ctx.Done():
				return false, ctx.Err()
			}
		})}
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error)
		go func() {
			_, err := d.Exists(ctx, "alice@example.com")
			gone <- err
		}()
		synctest.Wait()
		stays := make(chan bool)
		go func() { stays <- exists(t, d, "alice@example.com") }()
		synctest.Wait()
		cancel()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Errorf("the client that disconnected: %v", err)
		}
		if !<-stays {
			t.Error("the other client got no answer")
		}
		began := time.Now()
		if _, err := d.Exists(t.Context(), "hang@example.com"); err == nil || time.Since(began) != 5*time.Second {
			t.Errorf("hanging: %v after %v", err, time.Since(began))
		}
	})
	t.Run("panic", func(t *testing.T) {
		var calls atomic.Int32
		d := &CachedDirectory{Directory: DirectoryFunc(func(context.Context, string) (bool, error) {
			if calls.Add(1) == 1 {
				panic("a fault in the directory")
			}
			return true, nil
		})}
		if _, err := d.Exists(t.Context(), "alice@example.com"); err == nil || !strings.Contains(err.Error(), "a fault in the directory") {
			t.Errorf("a panic of the directory: error %v", err)
		}
		if !exists(t, d, "alice@example.com") {
			t.Error("after the panic, the directory is not asked again")
		}
	})
	t.Run("bounded", func(t *testing.T) {
		d := &CachedDirectory{Max: 10, Directory: Recipients("alice")}
		for i := range 1000 {
			exists(t, d, strings.Repeat("a", i+1))
		}
		if n := len(d.answers.m); n > 10 {
			t.Errorf("%d answers, Max is 10", n)
		}
	})
}

// The cause is in the log, but not in the reply.
func TestCauseIsLogged(t *testing.T) {
	var log bytes.Buffer
	down := DirectoryFunc(func(context.Context, string) (bool, error) { return false, errors.New("ldap: connection refused") })
	srv, _ := install(t, &Gate{Domains: []Domain{{Name: "example.com", Directory: down}}},
		&smtpserver.Server{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	srv.Talk(t, stranger, mailFrom("x@example.net", "250")+"\nC: RCPT TO:<alice@example.com>\nS: 451 4.3.0 The recipient cannot be verified at present, try again later\nC: QUIT\nS: 221")
	srv.Close()
	if !strings.Contains(log.String(), "ldap: connection refused") {
		t.Errorf("the cause is not in the log:\n%s", log.String())
	}
}
