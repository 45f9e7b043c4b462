package gateway

import (
	"io"
	"log/slog"
	"maps"

	"github.com/bridgehead-mail/bridgehead/internal/site"
)

// Levels returns the log levels of the parts of the relay. They can be changed while
// it runs:
//
//	g.Levels()["routing"].Set(slog.LevelDebug)
//
// The parts are:
//
//   - gateway: the Gateway, and all parts that are not below
//   - smtpserver: the sessions with clients
//   - policy: the agents, the directories. At Debug: the rights of each session, and
//     each agent that does not simply pass a message on, with its verdict
//   - queue: the messages, the tracking log, pickup folders. At Debug: for each
//     recipient that waits, the number of the attempt and the time of the next one
//   - store: the Store of the queue
//   - routing: the routing table. At Debug: for each recipient, the connector, the
//     next hop, and the address space that matched
//   - dns: at Debug, each DNS lookup of all parts, with its result and duration and
//     whether it came from a cache. Lookups of sessions that began before are not
//     logged
//   - tls: at Debug, for each session with a client or a next hop, the version, the
//     cipher, the policy, and what verified the other end
//   - smtpclient: the sessions with next hops, and the protocol logs
//
// With the Logger that [Main] makes, each part begins at slog.LevelInfo. With any
// other Logger, each part begins at slog.LevelDebug, so that the handler of Logger
// decides. The handler always decides too: to see lines at slog.LevelDebug, it must
// accept them. A part that has a Logger of its own is not affected.
//
// The map is a copy. The levels are safe for concurrent use.
func (g *Gateway) Levels() map[string]*slog.LevelVar { return maps.Clone(g.allLevels()) }

// allLevels returns the levels of the Gateway's Logger, or makes them.
func (g *Gateway) allLevels() site.Levels {
	g.levelsOnce.Do(func() {
		if g.levels = site.LevelsOf(g.Logger); g.levels == nil {
			g.levels = site.NewLevels(slog.LevelDebug)
		}
	})
	return g.levels
}

// logger returns the Logger for the parts, or nil. Each part logs at its own level.
func (g *Gateway) logger() *slog.Logger {
	if g.Logger == nil || site.LevelsOf(g.Logger) != nil {
		return g.Logger
	}
	return g.allLevels().Logger(g.Logger.Handler())
}

// newLogger returns the Logger that Main makes.
func newLogger(w io.Writer) *slog.Logger {
	h := slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})
	return site.NewLevels(slog.LevelInfo).Logger(h)
}
