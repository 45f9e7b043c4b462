package postgres

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/jackc/pgx/v5"
)

// openError opens a Store, which must fail at once, and returns the error.
func openError(t *testing.T, url string, o *Options) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s, err := Open(ctx, url, o)
	if err == nil {
		s.Close()
		t.Fatal("Open succeeded")
	}
	if errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Open waited: %v", err)
	}
	return err
}

// admin runs statements as a superuser.
func admin(t *testing.T, s *pgtest.Server, url string, statements ...string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), s.Admin(url))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	for _, sql := range statements {
		if _, err := c.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// What an operator must change is an error at once. Open does not wait for it.
func TestOpenRefuses(t *testing.T) {
	server := pgtest.Shared(t)
	url := pgtest.Database(t)
	this := one[string](t, open(t, url, nil), "select current_database()::text")
	for _, test := range []struct {
		name, url string
		o         Options
		err       string
	}{
		{name: "a wrong password", url: strings.Replace(server.TCP(url), ":a%20password", ":secret", 1),
			err: "password authentication failed"},
		{name: "a wrong password in Password", url: server.TCP(url), o: Options{Password: "secret"},
			err: "password authentication failed"},
		{name: "a database that does not exist", url: strings.Replace(url, this, "missing", 1),
			err: "does not exist"},
		{name: "a user who does not exist", url: strings.Replace(url, pgtest.User, "missing", 1),
			err: "does not exist"},
		{name: "an isolation level", url: url + "&default_transaction_isolation=serializable",
			err: "default_transaction_isolation is serializable"},
		{name: "commits that are not durable", url: url + "&synchronous_commit=off",
			err: "synchronous_commit is off"},
		{name: "a missing password file", url: url, o: Options{PasswordFile: "/does/not/exist"},
			err: "password file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := openError(t, test.url, &test.o)
			if !strings.Contains(err.Error(), test.err) {
				t.Errorf("the error is %v", err)
			}
			if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "postgres://") {
				t.Errorf("the error has too much: %v", err)
			}
		})
	}
}

func TestOpenRefusesEncoding(t *testing.T) {
	server := pgtest.Shared(t)
	url := pgtest.Database(t)
	admin(t, server, url, "create database latin template template0 encoding 'LATIN1' locale 'C'")
	t.Cleanup(func() {
		c, err := pgx.Connect(context.Background(), server.Admin(url))
		if err == nil {
			_, err = c.Exec(context.Background(), "drop database latin")
			c.Close(context.Background())
		}
		if err != nil {
			t.Error(err)
		}
	})
	err := openError(t, strings.Replace(server.Admin(url), one[string](t, open(t, url, nil), "select current_database()::text"), "latin", 1), nil)
	if !strings.Contains(err.Error(), "LATIN1") {
		t.Errorf("the error is %v", err)
	}
}

// A database that loses commits when the power fails is refused, and also later, if it is
// changed while the Store is open.
func TestOpenRefusesDatabaseThatLosesMail(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	before := open(t, url, nil)
	for _, setting := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		server.Set(t, setting+" = off")
		err := openError(t, url, nil)
		if !strings.Contains(err.Error(), setting+" is off") {
			t.Errorf("%s: the error is %v", setting, err)
		}
		open(t, url, &Options{Node: setting, LoseMailAtPowerFailure: true})
		server.Terminate(t)
		add := func(b *pgx.Batch) { b.Queue("select 1") }
		if err := before.db.tx(t.Context(), add); !errors.Is(err, queue.ErrUnavailable) {
			t.Errorf("%s: the error of an open Store is %v", setting, err)
		}
		if err := before.StoreStats().Err; err == nil {
			t.Errorf("%s: StoreStats reports no error", setting)
		}
		server.Set(t, setting+" = on")
		if err := before.db.tx(t.Context(), add); err != nil {
			t.Errorf("%s is on again: %v", setting, err)
		}
		open(t, url, &Options{Node: setting + " on"})
	}
}

func TestServerSettings(t *testing.T) {
	good := []string{"130000", "false", "off", "UTF8", "read committed", "on", "on", "on"}
	change := func(i int, value string) []string {
		row := append([]string(nil), good...)
		row[i] = value
		return row
	}
	for _, test := range []struct {
		row  []string
		wait bool
		err  string
	}{
		{row: good},
		{row: change(0, "180001")},
		{row: change(0, "120022"), err: "version 12"},
		{row: change(1, "true"), wait: true, err: "standby"},
		{row: change(2, "on"), wait: true, err: "read-only"},
		{row: change(7, "local")},
		{row: change(7, "remote_apply")},
		{row: change(7, "remote_write")},
	} {
		var o Options
		err := o.checkSettings(test.row)
		if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%v: %v", test.row, err)
		}
		if _, bad := errors.AsType[*settingError](err); err != nil && bad == test.wait {
			t.Errorf("%v: Open waits: %t", test.row, !bad)
		}
	}
}
