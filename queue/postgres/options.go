package postgres

import (
	"log/slog"
	"time"
)

// Options are the settings of a [Store]. The zero value of each field means its
// default.
type Options struct {
	// Node is the name of this node. Two processes that run at the same time must not
	// have the same name. Default: the host name.
	Node string
	// Info is what the node says about itself to the others, for example its version.
	Info map[string]string
	// Password is the password of the database user, if it is not in the URL.
	// PasswordFile is a file with the password; nobody but its owner may read it.
	// It is read again for each new connection.
	Password, PasswordFile string
	// Beat is the interval of the heartbeat, and DeadAfter the time after which a
	// silent node is dead. Defaults 5 s and 15 s. All nodes must have the same values.
	Beat, DeadAfter time.Duration
	// Connections is the maximum number of connections to the database. Default 8.
	Connections int
	// Pooler means that the URL is that of a connection pooler in transaction mode,
	// such as PgBouncer: the Store then uses no prepared statement, no session
	// setting and no LISTEN.
	Pooler bool
	// Journal is a file that outlives the process. It has the messages in delivery,
	// so that a message that kills the process is found. Default: none.
	Journal string
	// InsecureTLS allows connections without TLS, or without a check of the
	// certificate, to a database on another host.
	InsecureTLS bool
	// LoseMailAtPowerFailure allows a database with fsync, full_page_writes or
	// synchronous_commit off. Accepted mail is then lost when the power fails.
	LoseMailAtPowerFailure bool
	// Logger is for what an operator should know. nil is silent.
	Logger *slog.Logger
}
