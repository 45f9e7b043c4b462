package site

import (
	"context"
	"log/slog"
)

// The parts of a relay that have a log level of their own.
const (
	PartGateway    = "gateway"    // the Gateway itself, and all parts that are not below
	PartSMTPServer = "smtpserver" // sessions with clients
	PartPolicy     = "policy"     // agents, directories, the Handler
	PartQueue      = "queue"      // the queue, the tracking log, pickup folders
	PartStore      = "store"      // the queue's Store
	PartRouting    = "routing"    // the choice of next hops
	PartDNS        = "dns"        // DNS lookups of all other parts
	PartTLS        = "tls"        // TLS of both sides
	PartSMTPClient = "smtpclient" // sessions with next hops, protocol logs of both sides
)

// Levels are the log levels of the parts of a relay. They can be changed while the
// relay runs.
type Levels map[string]*slog.LevelVar

// NewLevels returns the levels of all parts, with the same value.
func NewLevels(level slog.Level) Levels {
	ls := make(Levels)
	for _, part := range []string{PartGateway, PartSMTPServer, PartPolicy, PartQueue, PartStore, PartRouting, PartDNS, PartTLS, PartSMTPClient} {
		ls[part] = new(slog.LevelVar)
		ls[part].Set(level)
	}
	return ls
}

// Logger returns a logger of PartGateway that writes to h. [Part] makes loggers of
// other parts from it.
func (ls Levels) Logger(h slog.Handler) *slog.Logger {
	return slog.New(&partHandler{Handler: h, levels: ls, level: ls[PartGateway]})
}

// LevelsOf returns the Levels that have made the logger, or nil.
func LevelsOf(l *slog.Logger) Levels {
	if h, is := partOf(l); is {
		return h.levels
	}
	return nil
}

// Part returns a logger with the level of a part, if l comes from Levels.Logger.
// Otherwise it returns l, which may be nil.
func Part(l *slog.Logger, part string) *slog.Logger {
	h, is := partOf(l)
	if !is || h.level == h.levels[part] {
		return l
	}
	return slog.New(&partHandler{Handler: h.Handler, levels: h.levels, level: h.levels[part]})
}

// Debug returns the logger for lines of a part at slog.LevelDebug, or nil if they are
// not logged. It allocates nothing in that case. If l does not come from
// Levels.Logger, its own level decides.
func Debug(l *slog.Logger, part string) *slog.Logger {
	if l == nil {
		return nil
	}
	h, is := partOf(l)
	if !is {
		if l.Enabled(context.Background(), slog.LevelDebug) {
			return l
		}
		return nil
	}
	if h.levels[part].Level() > slog.LevelDebug || !h.Handler.Enabled(context.Background(), slog.LevelDebug) {
		return nil
	}
	return Part(l, part)
}

func partOf(l *slog.Logger) (*partHandler, bool) {
	if l == nil {
		return nil, false
	}
	h, is := l.Handler().(*partHandler)
	return h, is
}

// A partHandler passes on the records that have the level of its part.
type partHandler struct {
	slog.Handler
	levels Levels
	level  *slog.LevelVar // of the part
}

// Enabled implements slog.Handler. At Debug, the other handler decides alone.
func (h *partHandler) Enabled(ctx context.Context, level slog.Level) bool {
	least := h.level.Level()
	return (level >= least || least <= slog.LevelDebug) && h.Handler.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (h *partHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &partHandler{Handler: h.Handler.WithAttrs(attrs), levels: h.levels, level: h.level}
}

// WithGroup implements slog.Handler.
func (h *partHandler) WithGroup(name string) slog.Handler {
	return &partHandler{Handler: h.Handler.WithGroup(name), levels: h.levels, level: h.level}
}
