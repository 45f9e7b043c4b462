package postgres

import (
	"fmt"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// recordWait is how long results of deliveries may wait for the database, so that others
// may begin.
const recordWait = 2 * time.Second

// MayBegin implements [queue.LeaseGuard]. After a time without contact it permits no
// delivery, because the others may take the message over before the delivery ends. It
// permits none either while the results of earlier deliveries wait for the database,
// for example because the network has become silent: if this node dies, the others repeat
// each delivery whose result is not recorded.
func (s *Store) MayBegin(owner, id string) error {
	if err := s.checkLease(owner, id); err != nil {
		return err
	}
	if d := s.changes.waiting(); d > recordWait {
		return fmt.Errorf("%w: results have not been recorded for %v", queue.ErrUnavailable, d.Round(time.Millisecond))
	}
	return s.node.mayBegin()
}

// mayBegin returns an error if the next beat that fails may be the last one before the
// others declare this node dead.
func (n *node) mayBegin() error {
	if d := n.silence(); d > n.store.opts.DeadAfter-n.store.opts.Beat {
		return fmt.Errorf("%w: no contact for %v", queue.ErrUnavailable, d.Round(time.Millisecond))
	}
	return nil
}

// MayFinish implements [queue.LeaseGuard]. The others take a message over when the last
// beat of this node is older than Options.DeadAfter, and not before: see observer.
func (s *Store) MayFinish(owner, id string) error {
	if err := s.checkLease(owner, id); err != nil {
		return err
	}
	if d := s.node.silence(); d > s.opts.DeadAfter {
		return fmt.Errorf("%w: another node may have the message: %w: no contact for %v",
			queue.ErrLeaseLost, queue.ErrUnavailable, d.Round(time.Millisecond))
	}
	return nil
}

// checkLease returns ErrLeaseLost unless owner has leased the message.
func (s *Store) checkLease(owner, id string) error {
	_, err := s.leases.holds(owner, id)
	return err
}
