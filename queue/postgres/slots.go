package postgres

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"
)

// slotCount is the number of slots: see table bridgehead.content.
const slotCount = 8

// contentState is what a Store knows about the tables of contents.
type contentState struct {
	tx func(context.Context, func(*pgx.Batch)) error // runs a transaction; set by Open

	sync.Mutex // guards all below
	slot       int16
	keys       contentKeys
}

// currentSlot returns the slot for the content of new messages. It need not be the
// current one: any slot is right, see maintenance.go.
func (s *Store) currentSlot() int16 {
	s.content.Lock()
	defer s.content.Unlock()
	return s.content.slot
}
