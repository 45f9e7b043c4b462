package queue

import (
	"context"
	"log/slog"
)

// A Queue takes messages over, keeps them in its Store, and has its
// Deliverer deliver them until every recipient has ended: delivered, or its
// failure reported. Store and Deliverer must be set; every other field's zero
// value is a default. The fields must not change once Run was called.
type Queue struct {
	Store     Store
	Deliverer Deliverer
	// Hostname names this MTA in reports and trace fields.
	// Default os.Hostname.
	Hostname string
	// Logger gets a line for each message taken over, attempt and end; nil is
	// silent.
	Logger *slog.Logger
}

// Submit takes m over. When it returns nil, m is safe in the store, and the
// Queue will see each of its recipients to its end; m then belongs to the
// Queue. It sets m.ID where that is empty. An error leaves nothing behind;
// errors.As finds a *smtp.SMTPError in it, fit for a client (452 4.3.1 for a
// full store, 451 4.3.2 for a frozen queue, ...).
//
// Submit works before Run and while it runs; what it stores is delivered
// when Run runs.
func (q *Queue) Submit(ctx context.Context, m *Message) error { return nil }

// Run delivers until Shutdown is called or ctx ends; it returns nil then, and
// otherwise the store's error that keeps it from working. It does not close
// the Store.
func (q *Queue) Run(ctx context.Context) error { return nil }

// Shutdown stops claiming and lets attempts in progress finish. When ctx ends
// first they are broken off; what was not delivered stays in the store.
func (q *Queue) Shutdown(ctx context.Context) error { return nil }
