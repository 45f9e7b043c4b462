package boltstore

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	bolt "go.etcd.io/bbolt"
)

// An envelope is damaged while the store is open. Claim moves it to the bucket of
// damaged envelopes, logs that, and returns the next message.
func TestDamagedEnvelopeIsKept(t *testing.T) {
	var log bytes.Buffer
	s, err := Open(t.TempDir()+"/queue.db", slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, id := range []string{"a", "b"} {
		if err := s.Put(t.Context(), &queue.Message{ID: id, Content: queue.String("\r\n")}, queue.Schedule{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(envelopes).Put([]byte("a"), []byte("damaged")) }); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "a"); !errors.Is(err, queue.ErrDamaged) {
		t.Errorf("Get: %v, want ErrDamaged", err)
	}
	ms, err := s.Claim(t.Context(), queue.Claim{Owner: "o", Now: time.Now(), Until: time.Now().Add(time.Hour), Max: 2})
	if err != nil || len(ms) != 1 || ms[0].ID != "b" {
		t.Errorf("Claim: %v, %v; want b", ms, err)
	}
	s.db.View(func(tx *bolt.Tx) error {
		if got := tx.Bucket(damaged).Get([]byte("a")); string(got) != "damaged" {
			t.Errorf("the copy of the damaged envelope is %q", got)
		}
		return nil
	})
	if !strings.Contains(log.String(), "id=a") {
		t.Errorf("the log does not name the message: %q", log.String())
	}
	if _, err := s.Get(t.Context(), "a"); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("Get afterwards: %v, want ErrNotFound", err)
	}
}

// queuetest cannot simulate a power failure under bbolt, so this checks the option
// of bbolt that makes each commit sync.
func TestCommitsAreSynced(t *testing.T) {
	s, err := Open(t.TempDir()+"/queue.db", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.db.NoSync || s.db.NoGrowSync {
		t.Errorf("NoSync %v, NoGrowSync %v: a commit can be lost when the power fails", s.db.NoSync, s.db.NoGrowSync)
	}
}

// A second process, or a second Open, gets an error.
func TestOpenTwice(t *testing.T) {
	name := t.TempDir() + "/queue.db"
	s, err := Open(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if second, err := Open(name, nil); err == nil {
		second.Close()
		t.Error("the store was opened twice")
	}
	if err := s.Sync(context.Background()); err != nil {
		t.Errorf("Sync: %v", err)
	}
}
