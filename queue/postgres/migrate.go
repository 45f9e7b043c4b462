package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// schemaVersion is the version of the tables that this package uses: the number of the
// last file in the folder schema.
const schemaVersion = 1

//go:embed schema/*.sql
var schemaFiles embed.FS

// migrationLock is the key of the advisory lock that one node holds while it changes
// the tables: "bridgehe" in ASCII.
const migrationLock = 0x6272696467656865

const (
	// to_regclass could answer from the cache of the session, from before the lock.
	hasVersionTable = `select exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n
		on n.oid = c.relnamespace where n.nspname = 'bridgehead' and c.relname = 'schema_version')`
	readVersion   = `select coalesce(max(version), 0) from bridgehead.schema_version`
	createVersion = `create schema if not exists bridgehead;
		create table if not exists bridgehead.schema_version (
			version integer primary key,
			at      timestamptz not null default clock_timestamp()
		)`
	recordVersion = `insert into bridgehead.schema_version (version) values ($1)`
	lockMigration = `select pg_advisory_xact_lock($1), set_config('statement_timeout', '0', true)`
)

// migrate creates the tables or changes them to the version of this package. It does
// nothing, and needs no right to do it, if they have that version.
func migrate(ctx context.Context, c *pgx.Conn) error {
	version, err := currentVersion(ctx, c)
	if err != nil || version == schemaVersion {
		return err
	}
	tx, err := c.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	if _, err := tx.Exec(ctx, lockMigration, int64(migrationLock)); err != nil {
		return err
	}
	// Another node may have done it while this one waited for the lock.
	if version, err = currentVersion(ctx, c); err != nil || version == schemaVersion {
		return err
	}
	if _, err := tx.Exec(ctx, createVersion, pgx.QueryExecModeSimpleProtocol); err != nil {
		return mayNot(err, version)
	}
	for v := version + 1; v <= schemaVersion; v++ {
		sql, err := schemaFiles.ReadFile(fmt.Sprintf("schema/%03d.sql", v))
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, string(sql), pgx.QueryExecModeSimpleProtocol); err != nil {
			return mayNot(err, version)
		}
		if _, err := tx.Exec(ctx, recordVersion, v); err != nil {
			return err
		}
	}
	return tx.Commit(ctx)
}

// mayNot explains err if the role may not change the tables.
func mayNot(err error, version int) error {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || pg.Code != "42501" {
		return err
	}
	have := "the database has no tables of the queue"
	if version > 0 {
		have = fmt.Sprintf("the tables have version %d and must be changed to version %d", version, schemaVersion)
	}
	return &settingError{have + ", but this role may not do that (" + pg.Message + "): call Migrate with the role that owns the schema bridgehead"}
}

// currentVersion returns the version of the tables, 0 if there are none. It refuses
// those of a later version of this package.
func currentVersion(ctx context.Context, c *pgx.Conn) (int, error) {
	var exists bool
	if err := c.QueryRow(ctx, hasVersionTable).Scan(&exists); err != nil || !exists {
		return 0, err
	}
	var version int
	if err := c.QueryRow(ctx, readVersion).Scan(&version); err != nil {
		return 0, err
	}
	if version > schemaVersion {
		return 0, &settingError{fmt.Sprintf("the tables have version %d, which a later version of this program has made; "+
			"this one knows version %d", version, schemaVersion)}
	}
	return version, nil
}
