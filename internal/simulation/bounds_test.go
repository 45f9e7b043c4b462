package simulation

import (
	"context"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// watch checks the bounds of the relay now and then, until the world ends.
func (w *world) watch(end chan struct{}) {
	for {
		every := 20 * time.Second
		if w.healed.Load() {
			every = 5 * time.Minute
		}
		select {
		case <-end:
			return
		case <-time.After(every):
		}
		if r := w.running(); r != nil {
			w.oracle.checkBounds(r)
		}
	}
}

// used has the largest values that checkBounds has seen.
type used struct {
	clients, connections, active int
	disk                         int64 // more than four times the mail
}

// diskSlack is the room of the spool besides four times the mail: the segments at the end
// of the log with one that is prepared and one that is younger than compaction requires,
// the reserve, and the envelopes.
const diskSlack = 6 * segmentSize

// diskRepair is the time after an error of the disk in which the spool deletes what the
// error has left.
const diskRepair = 2 * time.Minute

// checkBounds checks what a relay must never exceed: the sessions of clients, the
// connections to a host, the active messages and the bytes on disk.
func (o *oracle) checkBounds(r *relay) {
	now := used{clients: int(r.current.Load().Counters().Current)}
	for _, n := range r.machine.dialed() {
		now.connections = max(now.connections, n)
	}
	mail := int64(0)
	for info, err := range r.queue.Messages(context.Background(), queue.Filter{}) {
		if err != nil {
			return // the process or the disk dies
		}
		mail += info.Size
		switch info.Status {
		case queue.MessageActive, queue.MessagePendingSuspend, queue.MessagePendingRemove:
			now.active++
		}
	}
	r.disk.Lock()
	now.disk = r.disk.Used() - 4*mail
	r.disk.Unlock()
	if t := time.Now(); o.w.diskFailed(t.Add(-diskRepair), t) {
		now.disk = 0 // each failed write leaves a segment, until it can be deleted
	}
	if now.clients > maxSessions || now.connections > maxPerAddr || now.active > maxActive || now.disk > diskSlack {
		o.problem("a bound is exceeded: %+v", now)
	}
	m := &o.most
	*m = used{max(m.clients, now.clients), max(m.connections, now.connections), max(m.active, now.active), max(m.disk, now.disk)}
}
