package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/policytest"
)

// No trick makes this gateway send a stranger's mail to strangers.
func TestNoOpenRelay(t *testing.T) {
	list := filepath.Join(t.TempDir(), "recipients")
	if err := os.WriteFile(list, []byte("alice@example.com\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := settings{listen: ":25", ours: "example.com", ourServer: "[10.1.0.5]", theirs: "example.org", theirServer: "[10.9.0.5]", recipients: list, share: "none",
		allow: "10.1.0.5/32", hostname: "relay.example.com", spool: t.TempDir()}
	r, err := newRelay(&s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	policytest.OpenRelay(t, policytest.New(t, r.srv), "example.com", "example.org")
	if err := errors.Join(r.srv.Shutdown(t.Context()), r.queue.Shutdown(t.Context()), r.router.Close(), r.store.Close()); err != nil {
		t.Error(err)
	}
}
