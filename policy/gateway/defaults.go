package gateway

import (
	"log/slog"
	"slices"

	"github.com/bridgehead-mail/bridgehead/internal/live"
	"github.com/bridgehead-mail/bridgehead/internal/site"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// defaults are settings that depend on the whole relay. The Gateway gives them
// to its servers and its queue.
type defaults struct {
	*shared
	memory   memoryBudget
	pressure *policy.Pressure // nil without a memory limit
	sessions *live.Group      // gets each server that serves
}

// setDefaults finds the defaults and sets those of the queue, of Servers and of
// the runtime. Each Listener sets those of its server. undo reverts the settings
// of the runtime.
func (g *Gateway) setDefaults() (d *defaults, undo func()) {
	d = &defaults{shared: &g.shared, memory: newMemoryBudget(g.MemoryLimit, len(g.Listeners)+len(g.Servers)), sessions: &g.sessions}
	undo = func() {}
	g.memory.Store(d.memory.limit)
	if d.memory.limit > 0 {
		d.memory.limitQueue(&g.Queue.Limits)
		undo = d.memory.limitRuntime()
		d.pressure = d.memory.pressure(site.Part(g.shared.Logger, site.PartPolicy))
		g.log(slog.LevelInfo, "memory limit", "bytes", d.memory.limit)
	}
	for _, srv := range g.Servers {
		d.apply(srv)
		d.sessions.Add(srv.LiveSessions())
	}
	return d, undo
}

// apply sets the settings of a server that are not set. The server has not
// served yet.
func (d *defaults) apply(srv *smtpserver.Server) {
	d.give(srv)
	if d.pressure != nil {
		d.memory.limitServer(&srv.Limits)
		srv.Agents = slices.Insert(slices.Clone(srv.Agents), 0, d.pressure.Agent())
	}
}
