package sendsec

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/smtpclient/mtasts"
)

// A state has what a reload does not replace: the policies that were fetched and the
// sessions that were counted.
type state struct {
	policies *mtasts.Cache
	reporter
	inUse atomic.Pointer[Internet] // nil before the gateway runs
}

// stateOf returns the state for the settings with a prefix.
func stateOf(k *program.Kit, prefix string) *state {
	s := program.Keep[state](k, prefix+"tls-reports")
	if s.policies != nil {
		return s
	}
	client := newClient(k.Resolver)
	s.policies = program.Keep[mtasts.Cache](k, "mta-sts") // several connectors share it
	if s.policies.Client == nil {
		s.policies.Resolver, s.policies.Client, s.policies.Dir = k.Resolver, client, filepath.Join(k.State, "mta-sts")
	}
	s.resolver, s.client, s.queue, s.log = k.Resolver, client, k.Queue, k.Logger
	s.file = filepath.Join(k.State, prefix+"tls-reports.json")
	return s
}

// use applies settings to the reports. The routing table has those of the connectors.
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
