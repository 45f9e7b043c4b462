package postgres

import (
	"log/slog"
	"os"
	"time"
)

// Options are the settings of a [Store]. The zero value of each field means its
// default.
type Options struct {
	// Node is the name of this node. Default: the host name. Two processes that run at
	// the same time should not have the same name: they work, but draining one drains
	// both, and Nodes has both as one node. The Store logs that, and warns of it in
	// StoreStats.
	Node string
	// Info describes the node, for example its version. The other nodes show it.
	Info map[string]string
	// Password is the password of the database user, if it is not in the URL.
	// PasswordFile is a file whose first line is the password. Only its owner may have
	// access to it (mode 0600). It is read again for each new connection.
	Password, PasswordFile string
	// Beat is the interval of the heartbeat, and DeadAfter the time after which a
	// silent node is dead, at least three times as long. The defaults are 5 s and 15 s:
	// the messages of a dead node are then taken over within 20 s. All nodes must have
	// the same values.
	Beat, DeadAfter time.Duration
	// Journal is the name of a file on a local disk. The Store records in it which
	// messages this process is delivering, so that messages that make the process crash
	// are detected: see [queue.DeliveryJournal]. Each node must have its own file, and
	// each start of a node must find the file of the last one, so in a container it must
	// be on a volume. If the node never starts again, the interruptions of its last
	// messages are not counted. The file has 640 KiB. If Journal is empty, there is no
	// file, and such messages are not detected.
	Journal string
	// Connections is the maximum number of connections to the database for messages.
	// At least 3; default 8. The heartbeat has one more, and so has LISTEN.
	Connections int
	// Pooler means that the URL is that of a connection pooler in transaction mode,
	// such as PgBouncer: the Store then uses no prepared statement, no session
	// setting and no LISTEN.
	Pooler bool
	// InsecureTLS allows connections without TLS, or without a check of the
	// certificate, to a database on another host.
	InsecureTLS bool
	// LoseMailAtPowerFailure allows a database with fsync, full_page_writes or
	// synchronous_commit off. Accepted mail is then lost when the power fails.
	LoseMailAtPowerFailure bool
	// Logger gets messages for the operator: outages, takeovers, lost leases. nil is silent.
	Logger *slog.Logger

	simulated    bool          // see clock
	closeTimeout time.Duration // how long Close waits for the database; 0 means closeTimeout
}

// withDefaults returns the settings with their defaults.
func (o *Options) withDefaults() (Options, error) {
	var opts Options
	if o != nil {
		opts = *o
	}
	if opts.Node == "" {
		name, err := os.Hostname()
		if err != nil {
			return opts, &settingError{"Node is empty, and there is no host name: " + err.Error()}
		}
		opts.Node = name
	}
	if opts.Beat == 0 {
		opts.Beat = 5 * time.Second
	}
	if opts.DeadAfter == 0 {
		opts.DeadAfter = 15 * time.Second
	}
	if opts.Connections == 0 {
		opts.Connections = 8
	}
	if opts.closeTimeout == 0 {
		opts.closeTimeout = closeTimeout
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return opts, opts.validate()
}

// A settingError is an error that waiting does not repair.
type settingError struct{ text string }

func (e *settingError) Error() string { return "postgres: " + e.text }

// validate returns an error for settings that can never work.
func (o *Options) validate() error {
	switch {
	case o.Beat < 0 || o.DeadAfter < 0 || o.Connections < 0:
		return &settingError{"Beat, DeadAfter and Connections must not be negative"}
	case o.DeadAfter < 3*o.Beat:
		return &settingError{"DeadAfter must be at least three times as long as Beat"}
	case o.Connections < 3:
		return &settingError{"Connections must be at least 3"}
	case o.Password != "" && o.PasswordFile != "":
		return &settingError{"only one of Password and PasswordFile may be set"}
	}
	return nil
}
