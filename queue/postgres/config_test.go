package postgres

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
)

func TestTLSIsVerified(t *testing.T) {
	t.Setenv("PGSSLMODE", "")
	const refused = "does not verify the server"
	for _, test := range []struct {
		url, env string
		insecure bool
		err      string
		tls      bool // TLS with a check of the certificate and the name
	}{
		{url: "postgres://relay@db.example.com/mail", tls: true},
		{url: "postgres://relay@db.example.com", tls: true},
		{url: "postgresql://relay@db.example.com/mail?application_name=x", tls: true},
		{url: "host=db.example.com user=relay dbname=mail", tls: true},
		{url: "postgres://relay@a.example.com,b.example.com/mail", tls: true},
		{url: "postgres://relay@127.0.0.1/mail", tls: true},
		{url: "postgres://relay@db.example.com/mail?sslmode=verify-full", tls: true},
		{url: "postgres://relay@db.example.com/mail?sslmode=disable", err: refused},
		{url: "postgres://relay@db.example.com/mail?sslmode=prefer", err: refused},
		{url: "postgres://relay@db.example.com/mail?sslmode=require", err: refused},
		{url: "postgres://relay@db.example.com/mail?sslmode=verify-ca", err: refused},
		{url: "postgres://relay@db.example.com/mail?application_name=x&sslmode=require", err: refused},
		{url: "host=db.example.com user=relay sslmode = require", err: refused},
		{url: "postgres://relay@localhost,db.example.com/mail?sslmode=disable", err: refused},
		{url: "postgres://relay@db.example.com/mail", env: "require", err: refused},
		{url: "postgres://relay@db.example.com/mail", env: "verify-full", tls: true},
		// The word is in the password, so the setting is not seen, and libpq's default is refused.
		{url: "host=db.example.com user=relay password='x sslmode=y'", err: refused},
		{url: "postgres://relay@db.example.com/mail?sslmode=disable", insecure: true},
		{url: "postgres://relay@db.example.com/mail?sslmode=require", insecure: true},
		// Nothing leaves the host.
		{url: "postgres://relay@127.0.0.1/mail?sslmode=disable"},
		{url: "postgres://relay@[::1]/mail?sslmode=disable"},
		{url: "postgres://relay@localhost/mail?sslmode=disable"},
		{url: "postgres://relay@/mail?host=/run/postgresql"},
		{url: "host=/run/postgresql user=relay"},
	} {
		t.Run(test.url+" "+test.env, func(t *testing.T) {
			t.Setenv("PGSSLMODE", test.env)
			o := Options{Node: "a", InsecureTLS: test.insecure}
			cfg, err := o.config(test.url)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("the error is %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			c := cfg.ConnConfig.TLSConfig
			if verified := c != nil && !c.InsecureSkipVerify && c.ServerName != ""; verified != test.tls {
				t.Errorf("verified TLS: %t", verified)
			}
		})
	}
}

// secretURLs are URLs that are wrong in some way. All have the password in them.
var secretURLs = []string{
	"postgres://relay:se%cret@db.example.com/mail",
	"postgres://relay:se/secret@db.example.com/mail",
	"postgres://relay:5?secret@db.example.com/mail",
	"postgres://relay:#secret@db.example.com/mail",
	"postgres://relay:secret@db.example.com:port/mail",
	"postgres://relay:secret@db.example.com:99999/mail",
	"postgres://relay:secret@[::1/mail",
	"postgres://relay:secret@db.example.com/mail?sslmode=secret",
	"postgres://relay:secret@db.example.com/mail?sslmode=verify-full&sslrootcert=/does/not/exist",
	"postgres://relay:secret@db.example.com/mail?target_session_attrs=secret",
	"postgres://relay:secret@db.example.com/mail?connect_timeout=secret",
	"postgres://relay:secret@db.example.com/mail?pool_max_conns=secret",
	"postgres://relay:secret@db.example.com/mail?default_query_exec_mode=secret",
	"host=db.example.com user=relay password='secret",
	"host=db.example.com user=relay password=secret port=x",
	"password=secret host",
	"secret",
	"postgres://relay:secret@db.example.com/mail\x00",
}

func TestURLErrorHasNoPassword(t *testing.T) {
	for _, url := range secretURLs {
		o := Options{Node: "a"}
		_, err := o.config(url)
		if err == nil {
			t.Errorf("%q is accepted", url)
			continue
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

// Validate reports what Open would refuse before it connects. It needs no database.
func TestValidate(t *testing.T) {
	t.Setenv("PGSSLMODE", "")
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		url  string
		o    *Options
		want string // empty: no error
	}{
		{"postgres://relay@db.example.com/mail", nil, ""},
		{"postgres://relay@db.example.com/mail", &Options{PasswordFile: password}, ""},
		{"postgres://relay@db.example.com:port/mail", nil, "the connection URL cannot be parsed"},
		{"postgres://relay@db.example.com/mail?sslmode=require", nil, "does not verify the server"},
		{"postgres://relay@db.example.com/mail?sslrootcert=/nowhere/at/all", nil, "unable to read CA file"},
		{"postgres://relay@db.example.com/mail", &Options{Beat: 10e9}, "DeadAfter must be at least three times as long as Beat"},
		{"postgres://relay@db.example.com/mail", &Options{PasswordFile: "/nowhere/at/all"}, "the password file: stat /nowhere/at/all"},
	} {
		err := Validate(test.url, test.o)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s, %+v: %v, want %q", test.url, test.o, err, test.want)
		}
	}
}

func TestPasswordFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "password")
	write := func(text string, mode os.FileMode) {
		t.Helper()
		if err := errors.Join(os.WriteFile(name, []byte(text), 0o600), os.Chmod(name, mode)); err != nil {
			t.Fatal(err)
		}
	}
	o := Options{Node: "a", PasswordFile: name}
	cfg, err := o.config("postgres://relay:other@localhost/mail?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	password := func() (string, error) {
		var c pgx.ConnConfig
		err := cfg.BeforeConnect(t.Context(), &c)
		return c.Password, err
	}
	for _, test := range []struct {
		text string
		mode os.FileMode
		want string
		err  string
	}{
		{text: "first\n", mode: 0o600, want: "first"},
		{text: "changed", mode: 0o400, want: "changed"}, // read again for each connection
		{text: "with space \r\nsecond line\n", mode: 0o600, want: "with space "},
		{text: "\ufefffrom Windows\r\n", mode: 0o600, want: "from Windows"},
		{text: "secret\n", mode: 0o640, err: "others may read it"},
		{text: "secret\n", mode: 0o604, err: "others may read it"},
		{text: "\nsecret\n", mode: 0o600, err: "the first line is empty"},
		{text: "", mode: 0o600, err: "the first line is empty"},
	} {
		write(test.text, test.mode)
		got, err := password()
		if got != test.want || (err == nil) != (test.err == "") {
			t.Errorf("%q, mode %o: %q, %v", test.text, test.mode, got, err)
		}
		if err != nil && (!strings.Contains(err.Error(), test.err) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%q, mode %o: the error is %v", test.text, test.mode, err)
		}
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if _, err := password(); !errors.Is(err, os.ErrNotExist) && !strings.Contains(err.Error(), "no such file") {
		t.Errorf("without a file: %v", err)
	}
}

func TestOptionsThatCannotWork(t *testing.T) {
	for _, o := range []Options{
		{Connections: -1}, {Connections: 2}, {Beat: -1}, {DeadAfter: -1}, {DeadAfter: 1},
		{Beat: 10e9, DeadAfter: 15e9}, {Password: "a", PasswordFile: "b"},
	} {
		if _, err := Open(t.Context(), "postgres://relay@/mail?host=/does/not/exist", &o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
	var none *Options
	if o, err := none.withDefaults(); err != nil || o.Node == "" || o.Beat != 5e9 || o.DeadAfter != 15e9 || o.Connections != 8 {
		t.Errorf("the defaults are %+v, %v", o, err)
	}
}

// The server ends the sessions of nodes that are cut off or stopped, in time for others.
func TestDeadSessionsEnd(t *testing.T) {
	t.Parallel()
	s := open(t, pgtest.Shared(t).TCP(pgtest.Database(t)), &Options{InsecureTLS: true, Connections: 3})
	for name, want := range map[string]string{
		"tcp_user_timeout": "30000", "tcp_keepalives_idle": "15", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3",
		"idle_in_transaction_session_timeout": "30s",
	} {
		if got := one[string](t, s, `select current_setting($1)`, name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}
