package spool

import (
	"context"
	"log/slog"
	"sync"

	"github.com/bridgehead-mail/bridgehead/internal/site"
)

// Inherit sets the Logger if Options.Logger was nil. The new Logger first gets
// the lines that the Spool has logged since Open, at most 100. A
// gateway.Gateway calls Inherit before the queue runs.
func (s *Spool) Inherit(d site.Defaults) {
	if h, is := s.logger.Handler().(*heldLog); is && d.Logger != nil {
		h.begin(site.Part(d.Logger, site.PartStore).Handler())
	}
}

// maxHeld limits the lines that a heldLog keeps.
const maxHeld = 100

// A heldLog is the Handler of a spool that has no Logger yet. It keeps the first
// lines until there is one.
type heldLog struct {
	mu    sync.Mutex // guards the fields below
	to    slog.Handler
	lines []slog.Record
}

// begin passes the lines, and all further ones, to another handler. Only the
// first call has an effect.
func (h *heldLog) begin(to slog.Handler) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.to != nil {
		return
	}
	h.to = to
	for _, r := range h.lines {
		if ctx := context.Background(); to.Enabled(ctx, r.Level) {
			to.Handle(ctx, r)
		}
	}
	h.lines = nil
}

func (h *heldLog) target() slog.Handler {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.to
}

// Enabled implements slog.Handler.
func (h *heldLog) Enabled(ctx context.Context, level slog.Level) bool {
	to := h.target()
	return to == nil || to.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *heldLog) Handle(ctx context.Context, r slog.Record) error {
	if to := h.target(); to != nil {
		return to.Handle(ctx, r)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.to != nil {
		return h.to.Handle(ctx, r)
	}
	if len(h.lines) < maxHeld {
		h.lines = append(h.lines, r.Clone())
	}
	return nil
}

// WithAttrs and WithGroup implement slog.Handler. The spool does not use them.
func (h *heldLog) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h *heldLog) WithGroup(string) slog.Handler      { return h }
