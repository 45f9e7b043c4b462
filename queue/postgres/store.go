package postgres

import (
	"context"
	"log/slog"
	"sync"
)

// A Store is a [queue.Store] in a PostgreSQL database. It is safe for concurrent use.
type Store struct {
	opts   Options // with the defaults
	log    *slog.Logger
	db     *db
	closed chan struct{} // closed by Close

	ctx       context.Context // of the goroutines of background; ends in Close
	cancel    context.CancelFunc
	running   sync.WaitGroup
	closers   []func(ctx context.Context) error
	closeOnce sync.Once
	closeErr  error

	node    *node
	clock   clock
	leases  leases
	lanes   lanes
	hops    hopIDs
	hash    addressHash // set by startContent
	content contentState
	health  health

	groups  groups
	puts    puts
	changes changes
	stats   commitStats
}
