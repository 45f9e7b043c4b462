package postgres

import "sync"

// openPuts knows the calls of Put that lease their message and whose outcome is not known
// yet. The database may have their messages, and the leases of this node do not.
type openPuts struct {
	mu  sync.Mutex
	ids map[string]int // how many calls; guarded by mu
}

// begin adds a call.
func (o *openPuts) begin(p *put) { o.add(p, 1) }

// end removes a call. The lease is in leases before, or the removal in changes.
func (o *openPuts) end(p *put) { o.add(p, -1) }

func (o *openPuts) add(p *put, n int) {
	if !p.row.leased {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ids == nil {
		o.ids = make(map[string]int)
	}
	if o.ids[p.row.id] += n; o.ids[p.row.id] == 0 {
		delete(o.ids, p.row.id)
	}
}

// of returns the messages of rows that may be those of calls.
func (o *openPuts) of(rows []leasedRow) map[string]bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	open := make(map[string]bool)
	for _, r := range rows {
		if r.number == firstLease && o.ids[r.id] > 0 {
			open[r.id] = true
		}
	}
	return open
}
