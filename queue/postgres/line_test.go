package postgres

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/jackc/pgx/v5"
)

// The heartbeat does not need a connection of the pool.
func TestHeartbeatUnderFullLoad(t *testing.T) {
	t.Parallel()
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.Database(t)
			o := steady("busy")
			o.Pooler = mode.Pooler
			busy, other := open(t, url, o), open(t, url, steady("other"))
			for range o.Connections {
				c, err := busy.db.pool.Acquire(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Release()
			}
			id := busy.node.id.Load()
			const beat = `select beat from bridgehead.node where id = $1 and state = 'alive'`
			before := one[int](t, other, beat, id)
			eventually(t, "beats", func() bool { return one[int](t, other, beat, id) > before+3 })
			if err := busy.node.mayBegin(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A transaction of a line ends after its timeout, whatever the server or the network do,
// and the next one connects again.
func TestLine(t *testing.T) {
	t.Parallel()
	var log logbook
	o := steady("a")
	o.Logger = log.logger()
	url := pgtest.Database(t)
	proxy := pgtest.Shared(t).Proxy(t)
	s := open(t, proxy.URL(url), o)
	silent(t, s) // its own line logs nothing more
	l := &line{db: s.db, timeout: 500 * time.Millisecond}
	defer l.close()
	ask := func(sql string) error { return l.tx(t.Context(), func(b *pgx.Batch) { b.Queue(sql) }) }
	if err := ask("select 1"); err != nil {
		t.Fatal(err)
	}
	if err := ask("select pg_sleep(20)"); !errors.Is(err, queue.ErrUnavailable) {
		t.Errorf("a slow statement: %v", err)
	}
	if err := ask("select 1"); err != nil {
		t.Errorf("after a slow statement: %v", err)
	}
	proxy.Stall()
	for range 2 { // the first on a connection, the second cannot connect
		if err := ask("select 1"); !errors.Is(err, queue.ErrUnavailable) {
			t.Errorf("without a network: %v", err)
		}
	}
	proxy.Continue()
	eventually(t, "network", func() bool { return ask("select 1") == nil })
	// One pair for the slow statement, one for the network.
	if n := strings.Count(log.String(), "heartbeat of this node works again"); n != 2 {
		t.Errorf("logged %d times:\n%s", n, log.String())
	}
	if n := strings.Count(log.String(), "heartbeat of this node fails"); n != 2 {
		t.Errorf("logged %d times:\n%s", n, log.String())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.tx(ctx, func(b *pgx.Batch) { b.Queue("select 1") }); err == nil {
		t.Error("a transaction without a context")
	}
}
