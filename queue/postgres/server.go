package postgres

import (
	"context"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"
)

// minVersion is the oldest version of PostgreSQL that the Store uses.
const minVersion = 130000

// serverSettings is asked on each new connection, so that a server is checked again after
// a failover. default_transaction_isolation matters with a pooler only.
const serverSettings = `select current_setting('server_version_num'), pg_is_in_recovery()::text,
	current_setting('transaction_read_only'), current_setting('server_encoding'),
	current_setting('default_transaction_isolation'), current_setting('fsync'),
	current_setting('full_page_writes'), current_setting('synchronous_commit'), current_setting('search_path')`

// A standbyError is the error for a server that cannot be written now.
type standbyError struct{ text string }

func (e *standbyError) Error() string { return e.text }

// checkServer returns an error if the server cannot be used. If the URL has several
// hosts, the next one is tried then. searchPath is the setting that the connection asked
// for, empty in pooler mode.
func (o *Options) checkServer(ctx context.Context, c *pgconn.PgConn, searchPath string) error {
	results, err := c.Exec(ctx, serverSettings).ReadAll()
	if err != nil {
		return err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 {
		return fmt.Errorf("the server did not answer with its settings")
	}
	row := make([]string, len(results[0].Rows[0]))
	for i, value := range results[0].Rows[0] {
		row[i] = string(value)
	}
	if searchPath != "" && row[8] != searchPath {
		return &settingError{noPooler}
	}
	return o.checkSettings(row)
}

// noPooler is the error if something between the Store and the server drops settings, or
// does not know them.
const noPooler = "the server is a connection pooler: set Pooler"

// checkSettings checks the answer to serverSettings.
func (o *Options) checkSettings(row []string) error {
	version, _ := strconv.Atoi(row[0])
	switch {
	case version < minVersion:
		return &settingError{fmt.Sprintf("the server has version %d of PostgreSQL; it must be %d or later",
			version/10000, minVersion/10000)}
	case row[1] == "true":
		return &standbyError{"the server is a standby"}
	case row[2] == "on":
		return &standbyError{"the server is read-only"}
	case row[3] != "UTF8":
		return &settingError{"the encoding of the database is " + row[3] + "; it must be UTF8"}
	case row[4] != "read committed":
		return &settingError{"default_transaction_isolation is " + row[4] + "; it must be read committed"}
	}
	for i, name := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		if row[5+i] == "off" && !o.LoseMailAtPowerFailure {
			return &settingError{name + " is off: the database may lose accepted mail when the power fails; " +
				"set it to on"}
		}
	}
	return nil
}
