package main

import (
	"errors"
	"flag"
	"regexp"
	"time"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/queue/postgres"
)

// cluster has the settings of this gateway.
type cluster struct {
	listen                       string
	node, database, passwordFile string
	pooler                       bool
	beat, deadAfter              time.Duration
	domains                      program.List
	allow                        program.Networks
	upstream                     string
	hourly                       int
}

// Define implements program.Gateway.
func (c *cluster) Define(f *flag.FlagSet) {
	f.StringVar(&c.listen, "listen", ":25", "`address` to listen on, as :25 or 192.0.2.1:25")
	f.StringVar(&c.node, "node", "", "`name` of this node, different for each; default: the host name of the system")
	f.StringVar(&c.database, "database", "", "`URL` of the database, as postgres://relay@db.example.com/mail, without a password; required")
	f.StringVar(&c.passwordFile, "database-password", "", "`file` whose first line is the password of the database; only its owner may read it. It is read\nagain for each connection; default: the password file of libpq (PGPASSFILE, ~/.pgpass), if any")
	f.BoolVar(&c.pooler, "database-pooler", false, "the database is reached through PgBouncer in transaction mode")
	f.Var(&c.domains, "domain", "`domain=host[:port]` of a domain and its mail server; the default port is 25. Repeat the flag for each\ndomain; at least one is required")
	f.Var(&c.allow, "allow", "`networks` whose machines may send to any domain, as 10.1.0.0/16,192.0.2.7; default: none")
	f.StringVar(&c.upstream, "upstream", "", "`host[:port]` that takes the mail for other domains; default: the MX hosts of the domains")
	f.IntVar(&c.hourly, "hourly", 0, "maximum `number` of messages of each client address in an hour, on all nodes together; default: no limit")
	f.DurationVar(&c.beat, "beat", 5*time.Second, "`interval` in which a node reports that it is alive; the same for all nodes")
	f.DurationVar(&c.deadAfter, "dead-after", 15*time.Second, "`time` after which the others deliver the mail of a node that does not report; the same for all nodes")
}

// hasPassword matches a connection URL or string with a password. Other users can see
// the arguments of a process.
var hasPassword = regexp.MustCompile(`^\w+://[^/@]*:[^/]*@|(?i:(^|[?&\s])(ssl)?password\s*=)`)

// check checks the settings of the database.
func (c *cluster) check(k *program.Kit) {
	k.Fixed("node", "database", "database-password", "database-pooler", "beat", "dead-after")
	k.Require("database", c.database != "")
	k.Secret("database-password", c.passwordFile)
	switch {
	case c.beat <= 0:
		k.Fault("beat", errors.New("must be more than 0s"))
	case c.deadAfter < 3*c.beat:
		k.Fault("dead-after", errors.New("must be at least three times as long as -beat"))
	}
	if hasPassword.MatchString(c.database) {
		k.Fault("database", errors.New("must not have a password; use -database-password"))
	}
	if !k.Failed() {
		k.Fault("database", postgres.Validate(c.database, c.options()))
	}
}
