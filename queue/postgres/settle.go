package postgres

import "context"

// settle returns when what this node has recorded before the call is in the database,
// so that a statement finds it.
func (s *Store) settle(ctx context.Context) error { return s.check(ctx) }
