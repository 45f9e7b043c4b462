package sendsec

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/smtpclient/mtasts"
)

// A state is what a reload does not replace: the policies that were fetched and the
// sessions that were counted.
type state struct {
	policies *mtasts.Cache
	reporter
	inUse atomic.Pointer[Internet] // nil before the gateway runs
}

func newState(k *program.Kit, prefix string) *state {
	client := newClient(k.Resolver)
	return &state{
		policies: program.Kept(k, "mta-sts", func() *mtasts.Cache {
			return &mtasts.Cache{Resolver: k.Resolver, Client: client, Dir: filepath.Join(k.Spool, "mta-sts")}
		}),
		reporter: reporter{resolver: k.Resolver, client: client, queue: k.Queue, log: k.Logger, file: filepath.Join(k.Spool, prefix+"tls-reports.json")},
	}
}

// use applies settings. The connectors have got theirs with the routing table.
func (s *state) use(i *Internet) { s.inUse.Store(i) }

// refresh fetches the policies of MTA-STS again before they expire, until ctx ends.
func (s *state) refresh(ctx context.Context) error {
	hourly := time.NewTicker(time.Hour)
	defer hourly.Stop()
	for {
		if s.inUse.Load().mtaSTS {
			if err := s.policies.Refresh(ctx); err != nil { // the previous policies stay in use
				s.log.Debug("MTA-STS policies that were not fetched", "error", err)
			}
		}
		select {
		case <-hourly.C:
		case <-ctx.Done():
			return nil
		}
	}
}
