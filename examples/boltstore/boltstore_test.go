package boltstore_test

import (
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/examples/boltstore"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/queuetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var config = queuetest.Config{Open: open, Durable: true}

func open(t *testing.T, dir string) queue.Store {
	s, err := boltstore.Open(filepath.Join(dir, "queue.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) { queuetest.Test(t, config) }

func TestCrash(t *testing.T) { queuetest.Crash(t, config, 10) }
