package index

import (
	"context"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// walkMost is the number of slots that eachShown looks at while it has the lock.
const walkMost = 4 * slabLen

// Walk implements queue.Walker. It allocates nothing for a message.
func Walk[T any](ctx context.Context, locked Locked[T], f func(*queue.Entry)) error {
	var entry queue.Entry
	return eachShown(ctx, locked, func(x *Index[T]) func(Slot) {
		return func(s Slot) {
			e := x.At(s)
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
}

// eachShown calls a function for each message that is shown, in any order. It goes
// through the slab, which is faster than the lists. It gives up the lock from time to
// time; begin returns the function whenever it has the lock again.
func eachShown[T any](ctx context.Context, locked Locked[T], begin func(*Index[T]) func(Slot)) error {
	for s, end := Slot(1), Slot(1); s <= end; {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := locked(func(x *Index[T]) {
			f := begin(x)
			end = x.used
			for last := min(end, s+walkMost-1); s <= last; s++ {
				if e := x.At(s); e.hop != 0 && !e.hidden { // otherwise free, or not shown
					f(s)
				}
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}
