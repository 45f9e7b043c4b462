package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// firstWait and longestWait are the limits of the wait of Open before it tries again.
const (
	firstWait   = 250 * time.Millisecond
	longestWait = 5 * time.Second
)

// Open opens the queue in the database at url, and creates its tables if there are none.
// url is a connection URL or string as for libpq. nil options mean the defaults.
//
// If the database cannot be reached, is a standby, or fails while Open uses it, Open logs
// that, and tries again until ctx ends; then the error wraps queue.ErrUnavailable and the
// error of ctx. What cannot become right by waiting, such as a wrong password or a
// database that may lose commits, is an error at once.
func Open(ctx context.Context, url string, o *Options) (*Store, error) {
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		s, started, err := openStore(ctx, url, &opts)
		if err == nil {
			return s, nil
		}
		// The connections of a Store that has not started have waited already.
		if !started || !errors.Is(err, queue.ErrUnavailable) || ctx.Err() != nil {
			return nil, err
		}
		opts.Logger.Warn("postgres: the database failed while the Store was opened; waiting for it", "err", err)
		sleep(ctx, wait)
	}
}

// openStore opens a Store. started reports whether the database could be used at first.
func openStore(ctx context.Context, url string, opts *Options) (s *Store, started bool, err error) {
	j, err := openJournal(opts.Journal)
	if err != nil {
		return nil, false, err
	}
	d, err := openDB(ctx, url, opts)
	if err != nil {
		return nil, false, errors.Join(err, j.close())
	}
	s = &Store{opts: *opts, log: opts.Logger, closed: make(chan struct{}), db: d, journal: j}
	s.hops.tx = d.tx
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.start(ctx); err != nil {
		s.Close()
		return nil, true, err
	}
	return s, true, nil
}

// Migrate creates the tables of the queue in the database at url, or changes them to the
// version of this package, as [Open] does. It is for a database in which the role of the
// relay may not create tables: Migrate then uses the role that owns them, before the
// relay is started. See grants.sql for the privileges of the other role.
func Migrate(ctx context.Context, url string, o *Options) error {
	opts, err := o.withDefaults()
	if err != nil {
		return err
	}
	d, err := openDB(ctx, url, &opts)
	if err != nil {
		return err
	}
	d.close()
	return nil
}

// start starts the parts of the Store, in this order.
func (s *Store) start(ctx context.Context) error {
	for _, part := range []func(context.Context) error{
		// Each part is a method start... of its file.
		s.startJournal,
		s.startNode,
		s.startNotices,
		s.startClaims,
		s.startContent,
		s.startOutcomes,
		s.startChanges,
		s.startPuts,
	} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// openDB connects to the database, waits until it can be used, and brings the tables to
// the version of this package.
func openDB(ctx context.Context, url string, o *Options) (*db, error) {
	cfg, err := o.config(url)
	if err != nil {
		return nil, err
	}
	d, err := newDB(cfg, o)
	if err != nil {
		return nil, err
	}
	if err := d.prepare(ctx); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// newDB returns a db that has not connected yet.
func newDB(cfg *pgxpool.Config, o *Options) (*db, error) {
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		return nil, newError(err, false)
	}
	d := &db{pool: pool, pooler: o.Pooler, log: o.Logger}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d, nil
}

// prepare migrates the tables as soon as the database can be used.
func (d *db) prepare(ctx context.Context) error {
	var last *dbError
	var logged time.Time
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		err := d.pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error { return migrate(ctx, c.Conn()) })
		if err == nil {
			return nil
		}
		if bad, ok := errors.AsType[*settingError](err); ok {
			return bad
		}
		if ctx.Err() != nil {
			if last == nil {
				last = newError(err, false)
			}
			return fmt.Errorf("%w (%w)", last, ctx.Err())
		}
		e := newError(err, false)
		if e.kind != queue.ErrUnavailable || isWrongSetting(err) {
			return e
		}
		if last == nil || last.text != e.text || time.Since(logged) > time.Minute {
			d.log.Warn("waiting for the database", "err", e)
			logged = time.Now()
		}
		last = e
		sleep(ctx, wait)
	}
}

// connect opens a connection of its own, which is not in the pool. The caller closes it.
func (d *db) connect(ctx context.Context) (*pgx.Conn, error) {
	cfg := d.pool.Config()
	if err := cfg.BeforeConnect(ctx, cfg.ConnConfig); err != nil {
		return nil, newError(err, false)
	}
	c, err := pgx.ConnectConfig(ctx, cfg.ConnConfig)
	if err != nil {
		return nil, newError(err, false)
	}
	return c, nil
}
