package spool

import (
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/internal/index"
)

// addresses decodes what recovery needs of the recipients of a record. It uses its
// memory again for the next record. It ignores what it cannot decode: the queue reports
// the damage when it reads the message.
type addresses struct {
	recipient  queue.Recipient
	recipients []index.Recipient
	changed    []int
}

// decode decodes n recipients.
func (a *addresses) decode(d *decoder, n int) []index.Recipient {
	a.recipients = a.recipients[:0]
	for range n {
		a.next(d)
	}
	return a.recipients
}

// decodeChanged decodes the n recipients of a change record, and their indexes.
func (a *addresses) decodeChanged(d *decoder, n int) (changed []int, rs []index.Recipient) {
	a.recipients, a.changed = a.recipients[:0], a.changed[:0]
	for range n {
		i := d.uint()
		if a.next(d); i > 1<<31 || d.err != nil {
			break
		}
		a.changed = append(a.changed, int(i))
	}
	return a.changed, a.recipients[:len(a.changed)]
}

func (a *addresses) next(d *decoder) {
	a.recipient = queue.Recipient{}
	if d.recipient(&a.recipient); d.err == nil {
		a.recipients = append(a.recipients, index.HashRecipient(&a.recipient))
	}
}
