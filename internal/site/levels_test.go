package site

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
)

// Each part logs at its own level, which can be changed at any time. Attributes and
// groups keep the level.
func TestPartLevels(t *testing.T) {
	var out bytes.Buffer
	ls := NewLevels(slog.LevelInfo)
	logger := ls.Logger(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	routing, dns := Part(logger, PartRouting), Part(logger, PartDNS)
	say := func() string {
		out.Reset()
		for name, l := range map[string]*slog.Logger{"gateway": logger, "routing": routing, "dns": dns, "attrs": routing.With("a", 1), "group": routing.WithGroup("g")} {
			l.Debug("debug " + name)
		}
		var names []string
		for _, name := range []string{"gateway", "routing", "dns", "attrs", "group"} {
			if strings.Contains(out.String(), "debug "+name) {
				names = append(names, name)
			}
		}
		return strings.Join(names, " ")
	}
	if got := say(); got != "" {
		t.Errorf("at first: %q", got)
	}
	ls[PartRouting].Set(slog.LevelDebug)
	if got := say(); got != "routing attrs group" {
		t.Errorf("routing at debug: %q", got)
	}
	ls[PartRouting].Set(slog.LevelError)
	ls[PartDNS].Set(slog.LevelDebug)
	if got := say(); got != "dns" || routing.Enabled(context.Background(), slog.LevelWarn) {
		t.Errorf("dns at debug: %q", got)
	}
	if Part(routing, PartRouting) != routing || Part(Part(dns, PartTLS), PartDNS) == nil {
		t.Error("Part makes a new logger for the same part")
	}
}

// A logger that does not come from Levels is not changed. A handler with a level of
// its own keeps it.
func TestPartKeepsOtherLoggers(t *testing.T) {
	own := slog.New(slog.NewTextHandler(new(bytes.Buffer), nil))
	if Part(own, PartDNS) != own || Part(nil, PartDNS) != nil || LevelsOf(own) != nil || LevelsOf(nil) != nil {
		t.Error("a logger was changed")
	}
	d := Defaults{Logger: own}
	mine := own
	if d.FillFor(PartDNS, nil, &mine); mine != own || d.For(PartDNS).Logger != own {
		t.Error("a logger was changed")
	}
	l := Part(NewLevels(slog.LevelDebug).Logger(own.Handler()), PartDNS)
	if ctx := context.Background(); l.Enabled(ctx, slog.LevelDebug) || !l.Enabled(ctx, slog.LevelInfo) {
		t.Error("the handler does not decide")
	}
	var level slog.LevelVar // that the owner of the handler changes later
	l = NewLevels(slog.LevelDebug).Logger(slog.NewTextHandler(new(bytes.Buffer), &slog.HandlerOptions{Level: &level}))
	if level.Set(slog.LevelDebug - 4); !l.Enabled(context.Background(), slog.LevelDebug-4) {
		t.Error("the handler does not decide")
	}
}

// A line that is not logged costs no memory.
func TestDebugAllocatesNothing(t *testing.T) {
	h := slog.NewTextHandler(new(bytes.Buffer), &slog.HandlerOptions{Level: slog.LevelDebug})
	own := slog.New(slog.NewTextHandler(new(bytes.Buffer), nil))
	ls := NewLevels(slog.LevelInfo)
	l := Part(ls.Logger(h), PartRouting)
	if n := testing.AllocsPerRun(100, func() {
		if Debug(l, PartDNS) != nil || Debug(own, PartDNS) != nil || Debug(nil, PartDNS) != nil {
			t.Error("a line is logged")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	ls[PartDNS].Set(slog.LevelDebug)
	if Debug(l, PartDNS) == nil || Debug(l, PartTLS) != nil || Debug(slog.New(h), PartTLS) == nil {
		t.Error("the level of the part has no effect")
	}
}
