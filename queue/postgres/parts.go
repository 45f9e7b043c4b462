package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A message with many recipients may be recorded as often as it has recipients. If each
// record wrote the states of all of them, the bytes written would grow with the square of
// their number. So UpdateRecipients only writes a part: the recipients that have changed.
//
// A part is a row of the table content, with the key of the message's content and a number
// below 0: part 1 has the number -1. The row is never changed or deleted. Its space is
// given back, and it is moved to another slot, together with the content: see slots.go.
// Column part of the message is the number of its last part, and column whole that of the
// last part before its state was written as a whole, by Update. The recipients are those of
// the state, changed by the parts after that, in order.
//
// While a message has parts, the column rcpts is as in its state. So a search may find it
// by a recipient that is no longer waiting, until the next Update.

// fewRecipients is the number of recipients up to which they are always written as a whole.
const fewRecipients = 50

// A part has the recipients that have changed, by their index, and Message.Interrupted.
type part struct {
	Recipients  map[int]recipient
	Interrupted int `json:",omitzero"` // as in state
}

// encodePart returns the data of a part of the message with this ID.
func (s *Store) encodePart(id string, changed map[int]*queue.Recipient, interrupted int) ([]byte, error) {
	p := part{make(map[int]recipient, len(changed)), interrupted}
	for i, r := range changed {
		x := recipient(*r)
		x.shift(s.clock.ahead())
		p.Recipients[i] = x
	}
	return seal(id, p)
}

// decodePart changes m as a part says. The error is ErrDamaged.
func (s *Store) decodePart(m *queue.Message, b []byte) error {
	var p part
	if err := unseal(m.ID, b, &p); err != nil {
		return err
	}
	m.Interrupted = p.Interrupted
	for i, r := range p.Recipients {
		if i < 0 || i >= len(m.Recipients) {
			return fmt.Errorf("%w: a part has a recipient %d of %d", queue.ErrDamaged, i, len(m.Recipients))
		}
		r.shift(-s.clock.ahead())
		m.Recipients[i] = (*queue.Recipient)(&r)
	}
	return nil
}

// selectParts are the columns with the parts of message m that are valid: how many there
// are, and those that the snapshot of the statement has. Parts are missing if another
// transaction has moved the content in the meantime: see storedContent.read.
const selectParts = `m.part - m.whole, case when m.part > m.whole then array(
	select p.data from bridgehead.content p
	where p.slot = m.slot and p.key = m.content and p.n between -m.part and -m.whole - 1 order by p.n desc) end`

const selectState = `select m.state, ` + selectParts + ` from bridgehead.message m where m.id = $1 and m.content = $2`

// partTries is how often parts that are missing are read again. Contents are moved rarely,
// so one more time is almost always enough.
const partTries = 5

// decodeRecipients sets Recipients and Interrupted of the message of r. If parts are
// missing, it reads them again. The error is ErrDamaged if they are still missing, and
// ErrNotFound if the message is not in the database any more.
func (s *Store) decodeRecipients(ctx context.Context, r *row) error {
	for try := 1; len(r.parts) != r.partCount; try++ {
		if try > partTries {
			return fmt.Errorf("%w: %d parts of the recipients are missing", queue.ErrDamaged, r.partCount-len(r.parts))
		}
		found := false
		err := s.db.tx(ctx, func(b *pgx.Batch) {
			found, r.parts = false, nil
			b.Queue(selectState, r.id, r.content).Query(func(rows pgx.Rows) error {
				if found = rows.Next(); !found {
					return rows.Err()
				}
				return rows.Scan(&r.state, &r.partCount, &r.parts)
			})
		})
		if err != nil {
			return err
		}
		if !found {
			return queue.ErrNotFound
		}
	}
	if _, err := decodeState(r.m, r.state, s.clock.ahead()); err != nil {
		return err
	}
	for _, b := range r.parts {
		if err := s.decodePart(r.m, b); err != nil {
			return err
		}
	}
	return nil
}
