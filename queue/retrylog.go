package queue

import (
	"context"
	"log/slog"
)

// logRetries logs when the next attempt is made for each recipient that waits.
func (q *Queue) logRetries(m *Message, hop NextHop, vs []verdict) {
	ctx := context.Background()
	if !q.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	for i := range vs {
		if v := &vs[i]; v.res != nil && v.status == Waiting {
			q.log.LogAttrs(ctx, slog.LevelDebug, "queue: retry", slog.String("id", m.ID), slog.String("to", v.r.Addr), slog.String("hop", hop.String()),
				slog.Int("attempt", v.r.Attempts), slog.Time("next", q.clock.wallOf(v.next)), slog.String("reply", resultText(v.res)))
		}
	}
}
