package postgres

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/jackc/pgx/v5"
)

func TestNewerTablesAreRefused(t *testing.T) {
	url := pgtest.Database(t)
	s := open(t, url, nil)
	run(t, s.db, recordVersion, schemaVersion+1)
	err := openError(t, url, nil)
	if !strings.Contains(err.Error(), "a later version of this program") {
		t.Errorf("the error is %v", err)
	}
}

// A migration that fails leaves nothing behind.
func TestMigrationIsOneTransaction(t *testing.T) {
	url := pgtest.Database(t)
	admin(t, pgtest.Shared(t), url, "create schema bridgehead authorization "+pgtest.User,
		"create table bridgehead.message (other integer)")
	if err := openError(t, url, nil); !strings.Contains(err.Error(), "already exists") {
		t.Errorf("the error is %v", err)
	}
	admin(t, pgtest.Shared(t), url, "drop table bridgehead.message")
	open(t, url, nil)
}

// The relay works as a role that may only use the tables, which another role owns.
func TestLeastPrivileges(t *testing.T) {
	server := pgtest.Start(t) // roles belong to all databases of a server
	url := server.Database(t)
	admin(t, server, url,
		"create role bridgehead_relay nologin",
		"create role node login in role bridgehead_relay")
	node := strings.Replace(url, pgtest.User+"@", "node@", 1)

	err := openError(t, node, nil)
	if !strings.Contains(err.Error(), "no tables of the queue") || !strings.Contains(err.Error(), "call Migrate") {
		t.Errorf("before Migrate: %v", err)
	}
	if err := Migrate(t.Context(), url, nil); err != nil {
		t.Fatal(err)
	}
	grants, err := os.ReadFile("grants.sql")
	if err != nil {
		t.Fatal(err)
	}
	owner, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close(t.Context())
	if _, err := owner.Exec(t.Context(), string(grants), pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}

	s := open(t, node, nil)
	testWork(t, s)
	for _, function := range []string{"empty_slot(3::smallint)", "shrink_messages()"} {
		run(t, s.db, "select bridgehead."+function)
	}
	for _, sql := range []string{
		"create table bridgehead.x (n integer)",
		"drop table bridgehead.message",
		"alter table bridgehead.message add x integer",
		"update bridgehead.schema_version set version = version + 1",
	} {
		err := s.db.tx(t.Context(), func(b *pgx.Batch) { b.Queue(sql) })
		if err == nil || !strings.Contains(err.Error(), "42501") {
			t.Errorf("%s: %v", sql, err)
		}
	}
	// The tables of a later version have the same privileges.
	if _, err := owner.Exec(t.Context(), "create table bridgehead.later (n integer)"); err != nil {
		t.Fatal(err)
	}
	run(t, s.db, "delete from bridgehead.later")
}

// testWork does with a Store what a relay does.
func testWork(t *testing.T, s *Store) {
	t.Helper()
	ctx := t.Context()
	m := &queue.Message{ID: "m1", From: "alice@example.com", Recipients: queue.Rcpt("bob@example.net"), Content: queue.String("Hello.\r\n")}
	now := time.Now()
	for _, err := range []error{
		s.Put(ctx, m, queue.Schedule{}),
		s.PutSuspension(ctx, queue.Suspension{Domain: "example.org", By: "root"}),
		s.Drain(ctx, queue.Draining{Node: s.opts.Node, By: "root"}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	ms, err := s.Claim(ctx, queue.Claim{Owner: "a", Now: now, Until: now.Add(time.Hour)})
	if err != nil || len(ms) != 1 {
		t.Fatal(ms, err)
	}
	for _, err := range []error{
		s.Update(ctx, "a", ms[0], queue.Schedule{Owner: "a", Until: now.Add(time.Hour)}),
		s.Remove(ctx, "a", "m1"),
		s.Sync(ctx),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for range s.Search(ctx, queue.Search{From: "alice@example.com"}) {
		t.Error("the message was not removed")
	}
}
