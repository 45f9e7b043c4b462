package postgres

import "log/slog"

// A Store is a [queue.Store] in a PostgreSQL database. It is safe for concurrent use.
type Store struct {
	opts    Options
	log     *slog.Logger
	closed  chan struct{} // closed by Close
	clock   clock
	leases  leases
	hops    hopIDs
	hash    addressHash // set by Open: see loadSeed
	content contentState
}
