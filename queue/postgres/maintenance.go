package postgres

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/queue"
)

const (
	// maintenanceEvery is the time between two rounds of maintenance. All nodes try,
	// and one of them does the round.
	maintenanceEvery = 10 * time.Second
	// maintenanceShare limits the time for maintenance: after a round that has looked at
	// the slots for a second comes a pause of at least 20, but of at most pauseMost. To
	// look at the slots reads the rows of all messages.
	maintenanceShare = 20
	pauseMost        = time.Minute
	// roundMost is the time after which another node begins a round, if the one that
	// began the last has not ended it.
	roundMost = 5 * time.Minute
	// settle is how long a slot must not have been the current one before it is emptied
	// or its messages are moved: most messages end before that.
	settle = 30 * time.Second
)

// startContent reads the seed of the hashes and the current slot, and starts the
// maintenance.
func (s *Store) startContent(ctx context.Context) error {
	var current int16
	err := s.db.tx(ctx, func(b *pgx.Batch) {
		b.Queue(`select seed from bridgehead.seed`).QueryRow(func(row pgx.Row) error { return row.Scan((*[16]byte)(&s.hash)) })
		b.Queue(`select current from bridgehead.slot`).QueryRow(func(row pgx.Row) error { return row.Scan(&current) })
	})
	if err != nil {
		return err
	}
	s.sawSlot(current)
	s.background(s.maintain)
	return nil
}

// maintain does maintenance until ctx ends.
func (s *Store) maintain(ctx context.Context) {
	for sleep(ctx, maintenanceEvery+rand.N(maintenanceEvery/10)) {
		err := s.lookAtHealth(ctx)
		if err == nil {
			err = s.maintainOnce(ctx, settle)
		}
		if err != nil && ctx.Err() == nil && !errors.Is(err, queue.ErrUnavailable) { // which the db logs
			s.log.Warn("the maintenance of the database failed; it is tried again", "err", err)
		}
	}
}

// beginRound takes the next round for this node, if it is time for one. It also reads
// the current slot.
const beginRound = `
with won as (
	update bridgehead.slot set next = clock_timestamp() + $1::bigint * interval '1 microsecond'
	where next <= clock_timestamp() returning 1
)
select current, exists (select from won) from bridgehead.slot`

const endRound = `update bridgehead.slot set next = clock_timestamp() + $1::bigint * interval '1 microsecond'`

// maintainOnce does one round of maintenance, unless another node does it.
func (s *Store) maintainOnce(ctx context.Context, settle time.Duration) error {
	var current int16
	var won bool
	if err := s.db.tx(ctx, func(b *pgx.Batch) {
		b.Queue(beginRound, roundMost.Microseconds()).QueryRow(func(row pgx.Row) error { return row.Scan(&current, &won) })
	}); err != nil {
		return err
	}
	s.sawSlot(current)
	if !won {
		return nil
	}
	began := time.Now()
	err := s.maintainAllSlots(ctx, settle)
	took := time.Since(began)
	err = errors.Join(err, s.vacuum(ctx), s.shrink(ctx, shrinkAfter, shrinkLeast), s.tidy(ctx))
	pause := min(max(maintenanceEvery-time.Second, maintenanceShare*took), pauseMost)
	return errors.Join(err, s.db.tx(ctx, func(b *pgx.Batch) {
		b.Queue(endRound, pause.Microseconds())
	}))
}

// maintainAllSlots calls maintainSlots until nothing is left to do: when messages have been
// moved from a slot, it can be emptied, and then others.
func (s *Store) maintainAllSlots(ctx context.Context, settle time.Duration) error {
	for range slotCount + 1 {
		if more, err := s.maintainSlots(ctx, settle, garbageLeast); err != nil || !more {
			return err
		}
	}
	return nil
}

// maintainSlots empties slots, changes the current one, and moves messages: what
// planSlots decides. more means that another call may find more to do.
func (s *Store) maintainSlots(ctx context.Context, settle time.Duration, least int64) (more bool, err error) {
	use, err := s.slotUse(ctx)
	if err != nil {
		return false, err
	}
	current := int(s.currentSlot())
	plan := planSlots(current, use, least)
	for _, slot := range plan.empty {
		if s.closedFor(slot) < settle {
			continue
		}
		emptied, err := s.emptySlot(ctx, slot)
		if err != nil {
			return false, err
		}
		more = more || emptied
		if !emptied && slot == plan.next {
			plan.next = -1
		}
	}
	if plan.next >= 0 {
		if err := s.changeSlot(ctx, current, plan.next); err != nil {
			return false, err
		}
	}
	if plan.move >= 0 && s.closedFor(plan.move) >= settle {
		moved := 0
		moved, err = s.moveStragglers(ctx, plan.move, int(s.currentSlot()))
		more = more || moved > 0
	}
	return more, err
}
