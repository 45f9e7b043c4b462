package queue

import "github.com/bridgehead-mail/bridgehead/internal/site"

// Inherit sets Hostname and Logger if they are not set, and passes d to the
// Store and the Deliverer if they have a method Inherit. A gateway.Gateway calls
// it before Run. After the first call of another method of the Queue it has no
// effect on the Queue itself.
func (q *Queue) Inherit(d site.Defaults) {
	q.inheriting.Lock()
	d.FillFor(site.PartQueue, &q.Hostname, &q.Logger)
	q.inheriting.Unlock()
	d.For(site.PartStore).Inherit(q.Store)
	d.For(site.PartRouting).Inherit(q.Deliverer)
}
