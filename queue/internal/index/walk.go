package index

import (
	"context"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// walkMost is the number of slots that Walk looks at while it has the lock.
const walkMost = 4 * slabLen

// Walk implements queue.Walker. It goes through the slab, and neither through a list nor
// through the IDs, so it allocates nothing for a message.
func Walk[T any](ctx context.Context, locked Locked[T], f func(*queue.Entry)) error {
	var entry queue.Entry
	for s, end := Slot(1), Slot(1); s <= end; {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := locked(func(x *Index[T]) {
			end = x.used
			for last := min(end, s+walkMost-1); s <= last; s++ {
				e := x.At(s)
				if e.hop == 0 || e.hidden { // free, or not shown
					continue
				}
				entry.Schedule = queue.Schedule{Due: Time(e.due), Wait: time.Duration(e.wait)}
				if e.state == noState { // the hop of others is not needed, and often not in the processor's cache
					entry.Schedule.Hop = x.hops.key(e.hop)
				}
				if e.owner != 0 {
					entry.Schedule.Owner, entry.Schedule.Until = x.owners.key(e.owner), Time(e.until)
				}
				entry.Size, entry.Received = e.Size, Time(e.Received)
				entry.Priority, entry.Attempted = priorityOf(e.level), e.attempted
				f(&entry)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}
