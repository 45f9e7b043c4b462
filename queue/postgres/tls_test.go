package postgres

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
)

// Open verifies the certificate of a real server and its name, also if the URL does not
// say how to use TLS. A server that is not the right one is an error at once.
func TestOpenVerifiesServer(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.TLS(server.Database(t))
	t.Setenv("PGSSLMODE", "")
	unsaid := strings.Replace(url, "sslmode=verify-full&", "", 1)
	withoutCA, _, _ := strings.Cut(url, "&sslrootcert")
	for _, test := range []struct {
		name, url string
		o         Options
		err       string // empty: Open succeeds
	}{
		{name: "the right name and authority", url: url},
		{name: "the default", url: unsaid},
		{name: "another name", url: strings.Replace(url, "@localhost:", "@127.0.0.1:", 1), err: "certificate"},
		{name: "another name with the default", url: strings.Replace(unsaid, "@localhost:", "@127.0.0.1:", 1), err: "certificate"},
		{name: "another authority", url: withoutCA, err: "certificate"},
		{name: "InsecureTLS and the words of the URL", url: strings.Replace(url, "@localhost:", "@127.0.0.1:", 1),
			o: Options{InsecureTLS: true}, err: "certificate"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.err != "" {
				if err := openError(t, test.url, &test.o); !strings.Contains(err.Error(), test.err) {
					t.Errorf("the error is %v", err)
				}
				return
			}
			s := open(t, test.url, &test.o)
			if !one[bool](t, s, "select ssl from pg_stat_ssl where pid = pg_backend_pid()") {
				t.Error("the connection has no TLS")
			}
		})
	}
}

// Open uses the password file of a real server, and refuses one that others may read.
func TestOpenWithPasswordFile(t *testing.T) {
	server := pgtest.Shared(t)
	url := strings.Replace(server.TCP(server.Database(t)), ":"+url.PathEscape(pgtest.Password)+"@", "@", 1)
	name := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(name, []byte(pgtest.Password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, url, &Options{PasswordFile: name})
	for _, mode := range []os.FileMode{0o640, 0o604, 0o660} {
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
		if err := openError(t, url, &Options{PasswordFile: name}); !strings.Contains(err.Error(), "others may read it") {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
}
