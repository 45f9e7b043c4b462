package main

import (
	"context"
	"database/sql"
	"errors"
	"net/url"

	"github.com/bridgehead-mail/bridgehead/queue"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// A table has the final results. The queue may pass a result twice, for example if
// the process died after the commit. So the message and the position of the
// recipient are the key, and the second row replaces the first.
type table struct{ db *sql.DB }

const schema = `CREATE TABLE IF NOT EXISTS results (
	message   TEXT NOT NULL, -- the queue's ID, which the client got with 250
	recipient TEXT NOT NULL,
	envid     TEXT NOT NULL, -- the client's own ID: ENVID of MAIL (RFC 3461)
	sender    TEXT NOT NULL,
	status    TEXT NOT NULL, -- delivered, failed, expired or removed
	code      INTEGER NOT NULL,
	reply     TEXT NOT NULL,
	host      TEXT NOT NULL, -- that replied; empty if none did
	attempts  INTEGER NOT NULL,
	ended     TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
	PRIMARY KEY (message, recipient))`

// openTable opens the database. It need not be available yet, except that the name
// of the file must be given.
func openTable(file string) (*table, error) {
	if file == "" {
		return nil, errors.New("-database: is required")
	}
	// Another program may read or write: wait for it.
	name := url.URL{Scheme: "file", Opaque: url.PathEscape(file), RawQuery: "_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)"}
	db, err := sql.Open("sqlite", name.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(4)
	return &table{db}, nil
}

// Close closes the database.
func (t *table) Close() error { return t.db.Close() }

// record writes the results of recipients in one transaction. It is the
// FinalResults of the queue.
func (t *table) record(ctx context.Context, m *queue.Message, rcpts []*queue.Recipient) error {
	if _, err := t.db.ExecContext(ctx, schema); err != nil { // it may be a new database
		return err
	}
	tx, err := t.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // no effect after Commit
	for _, r := range rcpts {
		_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO results
			(message, recipient, envid, sender, status, code, reply, host, attempts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			m.ID, r.Addr, m.Options.EnvelopeID, m.From, r.Status.String(), r.Last.Reply.Code, r.Last.Reply.Message, r.Last.Host, r.Attempts)
		if err != nil {
			return err
		}
	}
	return tx.Commit()
}
