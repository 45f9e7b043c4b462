package peers

import (
	"os"
	"path/filepath"
	"testing"
)

func TestNeedFindsUnpackedPrograms(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("BRIDGEHEAD_PEERS", dir)
	bin := filepath.Join(dir, "strangemta", "usr", "sbin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	want := filepath.Join(bin, "strangemtad")
	if err := os.WriteFile(want, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := Need(t, "strangemtad"); got != want {
		t.Errorf("Need = %q, want %q", got, want)
	}
}

func TestMissingPeerSkipsOrFails(t *testing.T) {
	for _, c := range []struct{ env, want string }{{"", "skip"}, {"1", "fail"}} {
		t.Setenv(Strict, c.env)
		r := &recorder{TB: t}
		func() {
			defer func() {
				if e := recover(); e != nil && e != r {
					panic(e)
				}
			}()
			Need(r, "no-such-program-anywhere")
		}()
		if r.did != c.want {
			t.Errorf("with %s=%q a missing peer: %q, want %q", Strict, c.env, r.did, c.want)
		}
	}
}

// recorder records how a test would have ended, and ends it with a panic.
type recorder struct {
	testing.TB
	did string
}

func (r *recorder) Helper()               {}
func (r *recorder) Logf(string, ...any)   {}
func (r *recorder) Skipf(string, ...any)  { r.did = "skip"; panic(r) }
func (r *recorder) Fatalf(string, ...any) { r.did = "fail"; panic(r) }

// Postfix does not warn about a main.cf that it gets from lastEntries.
func TestLastEntries(t *testing.T) {
	got := lastEntries("myhostname = a\nmynetworks = 127.0.0.0/8\n 10.0.0.0/8\nrelayhost =\nmynetworks=192.0.2.0/24\nmyhostname = b,\n\tc\n")
	if want := "relayhost =\nmynetworks=192.0.2.0/24\nmyhostname = b,\n\tc\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
