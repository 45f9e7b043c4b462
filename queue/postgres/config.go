package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// config returns the configuration of the pool.
func (o *Options) config(url string) (*pgxpool.Config, error) {
	if isURL(url) && strings.Contains(url, "#") {
		return nil, urlError(nil) // pgx would ignore what follows, the host for example
	}
	cfg, err := pgxpool.ParseConfig(withVerifyFull(url))
	if err != nil {
		return nil, urlError(err)
	}
	cc := cfg.ConnConfig
	if err := o.checkTLS(&cc.Config); err != nil {
		return nil, err
	}
	cfg.MaxConns = int32(o.Connections)
	cfg.BeforeConnect = o.password
	if cc.ConnectTimeout == 0 {
		cc.ConnectTimeout = connectTimeout
	}
	cc.OnNotice = onNotice
	cc.OnPgError = func(_ *pgconn.PgConn, e *pgconn.PgError) bool { return !isFatal(e) }
	cc.ValidateConnect = func(ctx context.Context, c *pgconn.PgConn) error {
		return o.checkServer(ctx, c, cc.RuntimeParams["search_path"])
	}
	param := func(name, value string) {
		if _, set := cc.RuntimeParams[name]; !set {
			cc.RuntimeParams[name] = value
		}
	}
	param("application_name", "bridgehead "+o.Node)
	if o.Pooler {
		// A pooler in transaction mode gives each transaction another session.
		cc.DefaultQueryExecMode = pgx.QueryExecModeExec
		return cfg, nil
	}
	param("statement_timeout", ms(statementTimeout))
	param("lock_timeout", ms(lockTimeout))
	param("idle_in_transaction_session_timeout", ms(statementTimeout))
	param("default_transaction_isolation", "read committed")
	// The Store names the schema of its tables, so nothing else has to be found.
	param("search_path", "pg_catalog")
	// Compiling a statement takes longer than running one of the Store.
	param("jit", "off")
	// The server ends the session of a node that the network has cut off, or that does
	// not read its answers, for example because its process is stopped. Otherwise an
	// open transaction of such a node could lock messages for long.
	param("tcp_user_timeout", "30000")
	param("tcp_keepalives_idle", "15")
	param("tcp_keepalives_interval", "5")
	param("tcp_keepalives_count", "3")
	return cfg, nil
}

// hasSSLMode finds a setting for TLS in a connection URL or string.
var hasSSLMode = regexp.MustCompile(`(^|[?&\s])(sslmode|ssl)\s*=`)

// withVerifyFull returns url with sslmode=verify-full, if neither it nor the environment
// has a setting for TLS. The default of libpq, prefer, uses no TLS if the server has
// none. On a unix socket the setting has no effect.
func withVerifyFull(url string) string {
	if os.Getenv("PGSSLMODE") != "" || hasSSLMode.MatchString(url) {
		return url
	}
	if !isURL(url) {
		return url + " sslmode=verify-full"
	}
	if strings.Contains(url, "?") {
		return url + "&sslmode=verify-full"
	}
	return url + "?sslmode=verify-full"
}

// isURL reports whether s is a URL. The other form has words such as host=db.
func isURL(s string) bool {
	return strings.HasPrefix(s, "postgres://") || strings.HasPrefix(s, "postgresql://")
}

// checkTLS refuses a connection to another host that a stranger could read or answer.
func (o *Options) checkTLS(c *pgconn.Config) error {
	if o.InsecureTLS {
		return nil
	}
	hosts := append([]*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}, c.Fallbacks...)
	for _, h := range hosts {
		verified := h.TLSConfig != nil && !h.TLSConfig.InsecureSkipVerify
		if !verified && !isLocal(h) {
			return &settingError{fmt.Sprintf("the connection to %s does not verify the server: "+
				"use sslmode=verify-full, or set InsecureTLS", h.Host)}
		}
	}
	return nil
}

// isLocal reports whether h is this host: a unix socket or a loopback address.
func isLocal(h *pgconn.FallbackConfig) bool {
	if network, _ := pgconn.NetworkAddress(h.Host, h.Port); network == "unix" || h.Host == "localhost" {
		return true
	}
	ip := net.ParseIP(h.Host)
	return ip != nil && ip.IsLoopback()
}

// urlError returns the error for a URL that pgx cannot parse. The text of the error of
// pgx may have the password, for example if an unescaped character of it ends the user
// part of the URL.
func urlError(err error) error {
	text := "the connection URL cannot be parsed (characters such as / ? # @ % in a password must be percent-encoded)"
	if p, ok := errors.AsType[*pgconn.ParseConfigError](err); ok {
		// These are about files and modes, and have nothing else of the URL.
		if cause := errors.Unwrap(p); cause != nil && strings.Contains(p.Error(), "failed to configure TLS") {
			text = "the connection URL: TLS: " + cause.Error()
		}
	}
	return &settingError{text}
}

// Validate returns an error if [Open] would refuse the URL or the options before it
// connects. It is for programs that check their settings without a database.
func Validate(url string, o *Options) error {
	opts, err := o.withDefaults()
	if err != nil {
		return err
	}
	if _, err := opts.config(url); err != nil {
		return err
	}
	return opts.password(context.Background(), new(pgx.ConnConfig))
}

// password sets the password for one connection.
func (o *Options) password(_ context.Context, c *pgx.ConnConfig) error {
	if o.Password != "" {
		c.Password = o.Password
	}
	if o.PasswordFile == "" {
		return nil
	}
	password, err := readPassword(o.PasswordFile)
	if err != nil {
		return &settingError{err.Error()}
	}
	c.Password = password
	return nil
}

// readPassword reads the first line of a file that only its owner may read.
func readPassword(name string) (string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", fmt.Errorf("the password file: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows" {
		return "", fmt.Errorf("the password file %s: others may read it (mode %#o); set mode 0600", filepath.Clean(name), info.Mode().Perm())
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("the password file: %w", err)
	}
	line, _, _ := strings.Cut(strings.TrimPrefix(string(data), "\ufeff"), "\n") // a byte order mark
	line = strings.TrimSuffix(line, "\r")
	if line == "" {
		return "", fmt.Errorf("the password file %s: the first line is empty", filepath.Clean(name))
	}
	return line, nil
}
