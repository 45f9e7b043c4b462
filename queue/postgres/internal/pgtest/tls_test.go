package pgtest_test

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/jackc/pgx/v5"
)

func TestTLS(t *testing.T) {
	url := pgtest.Shared(t).TLS(pgtest.Database(t))
	if !one[bool](t, url, "select ssl from pg_stat_ssl where pid = pg_backend_pid()") {
		t.Error("the connection has no TLS")
	}
	var wrongName x509.HostnameError
	if _, err := pgx.Connect(t.Context(), strings.Replace(url, "localhost", "127.0.0.1", 1)); !errors.As(err, &wrongName) {
		t.Errorf("with another name: %v", err)
	}
	var unknown x509.UnknownAuthorityError
	withoutCA, _, _ := strings.Cut(url, "&sslrootcert")
	if _, err := pgx.Connect(t.Context(), withoutCA); !errors.As(err, &unknown) {
		t.Errorf("without the authority: %v", err)
	}
	if _, err := pgx.Connect(t.Context(), strings.Replace(url, "password", "word", 1)); err == nil {
		t.Error("a wrong password was accepted")
	}
}
