package gateway_test

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
)

// Main gives build a logger at Info, whose parts can be set to Debug. Any other
// logger is as its handler says.
func TestLevels(t *testing.T) {
	ctx := context.Background()
	var out, own syncBuffer
	parts := []string{"dns", "gateway", "policy", "queue", "routing", "smtpclient", "smtpserver", "store", "tls"}
	gateway.Main("relay", nil, &out, func(l *slog.Logger) (gateway.Runner, error) {
		r := newRelay(t)
		r.Logger, r.Queue.Logger = l, nil
		if err := r.Validate(); err != nil {
			t.Fatal(err)
		}
		levels := r.Levels()
		if got := slices.Sorted(maps.Keys(levels)); !slices.Equal(got, parts) {
			t.Errorf("parts %q", got)
		}
		for part, level := range levels {
			if level.Level() != slog.LevelInfo {
				t.Errorf("%s begins at %v", part, level)
			}
		}
		q, srv := r.Queue.Logger, r.Listeners[0].Server.Logger
		if l.Enabled(ctx, slog.LevelDebug) || q.Enabled(ctx, slog.LevelDebug) || srv.Enabled(ctx, slog.LevelDebug) || !q.Enabled(ctx, slog.LevelInfo) {
			t.Error("a part does not begin at Info")
		}
		levels["queue"].Set(slog.LevelDebug)
		if !q.Enabled(ctx, slog.LevelDebug) || srv.Enabled(ctx, slog.LevelDebug) || l.Enabled(ctx, slog.LevelDebug) {
			t.Error("the level of the queue does not apply to the queue alone")
		}
		return nil, context.Canceled
	})
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo} {
		r := newRelay(t)
		r.Logger, r.Queue.Logger = slog.New(slog.NewTextHandler(&own, &slog.HandlerOptions{Level: level})), nil
		if err := r.Validate(); err != nil {
			t.Fatal(err)
		}
		if got := r.Queue.Logger.Enabled(ctx, slog.LevelDebug); got != (level == slog.LevelDebug) {
			t.Errorf("a handler at %v: the queue logs at Debug: %v", level, got)
		}
		r.Levels()["queue"].Set(slog.LevelWarn)
		if r.Queue.Logger.Enabled(ctx, slog.LevelInfo) || !r.Queue.Logger.Enabled(ctx, slog.LevelWarn) {
			t.Error("the level of the queue has no effect")
		}
	}
}
