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
//   - policy: the agents with their verdicts, the directories
//   - queue: the messages and their retries, the tracking log, pickup folders
//   - store: the Store of the queue
//   - routing: the choice of connectors and next hops
//   - dns: the DNS lookups of all parts
//   - tls: TLS with clients and with next hops
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
