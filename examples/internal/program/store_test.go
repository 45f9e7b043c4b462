package program

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

// An archive is an office whose queue is not a spool.
type archive struct {
	office
	store *archiveStore
}

type archiveStore struct {
	memory.Store
	opened, closed int
	folder         string
}

func (a *archive) OpenStore(s *Settings, _ *slog.Logger) (Store, error) {
	a.store.opened++
	a.store.folder = s.State
	_, err := os.Stat(s.State)
	return a.store, err
}

func (s *archiveStore) Close() error {
	s.closed++
	return nil
}

// The queue of a Storer is opened once, at the start, in a folder that exists, and is
// closed at the end. The folder is -state.
func TestStorer(t *testing.T) {
	store, state := new(archiveStore), filepath.Join(t.TempDir(), "a", "state")
	p := Program{Name: "archive", New: func() Gateway { return &archive{store: store} }}
	args := []string{"-listen", "127.0.0.1:0", "-server", "127.0.0.1:9", "-hostname", "relay.example.com", "-domains", peers.File(t, "example.com\n")}
	if _, err := p.Assemble(args...); err == nil || err.Error() != "-state: is required" {
		t.Errorf("without -state: %v", err)
	}
	if _, err := p.Assemble(append(args, "-spool", state)...); err == nil || !strings.Contains(err.Error(), "-spool") {
		t.Errorf("with -spool: %v", err)
	}
	args = append(args, "-state", state)
	if _, err := p.Assemble(args...); err != nil || store.opened > 0 {
		t.Fatalf("%v; a check has opened the store %d times", err, store.opened)
	}
	relay, err := p.start(p.parse(args, io.Discard), args, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if relay.Queue.Store != store || store.opened != 1 || store.folder != state {
		t.Errorf("the store is %T, opened %d times with %q", relay.Queue.Store, store.opened, store.folder)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- relay.Run(ctx) }()
	<-relay.Ready()
	stop()
	if err := <-ended; err != nil || store.closed != 1 {
		t.Errorf("%v; the store was closed %d times", err, store.closed)
	}
}
