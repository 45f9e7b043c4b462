package program

import (
	"flag"
	"log/slog"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy/gateway/console"
)

// Settings are the settings that every gateway has. Build reads them from its Kit.
type Settings struct {
	Hostname string
	State    string // the folder of the gateway: -spool, or -state of a Storer
	Logs     string

	ProtocolLog string
	LogAge      time.Duration
	LogSize     Size
	Subjects    bool

	DNS    List
	DNSSEC bool

	Cert, Key      string
	MaxSize        Size
	MaxRecipients  int
	MaxConnections int
	MaxPerClient   int
	MaxHops        int
	Rate           int

	Expire     time.Duration
	Delay      time.Duration
	Postmaster List
	ReportFrom string
	BadMail    string

	Pickup, Replay string
	Pause          string
	RetryNow       bool
	LogLevel       slog.Level
	Trace          trace
	Metrics        string
	Console        console.Flags

	state string // the name of the setting State
}

// define defines the flags.
func (s *Settings) define(f *flag.FlagSet, isStorer bool) {
	s.state = "spool"
	text := "`folder` of the queue; required"
	if isStorer {
		s.state = "state"
		text = "`folder` on a local disk, for what this relay keeps outside of the queue, such as its logs; required"
	}
	f.StringVar(&s.State, s.state, "", text)
	f.StringVar(&s.Hostname, "hostname", "", "`name` of this relay in its greeting, in EHLO and in Received; default: the host name of the system")
	f.StringVar(&s.Logs, "logs", "", "`folder` of the protocol logs and the tracking log; default: logs in the folder of -"+s.state)
	s.ProtocolLog = exchangeLog
	f.Var(Choice(&s.ProtocolLog, exchangeLog, w3cLog, noLog), "protocol-log", "`format` of the protocol logs: exchange (comma-separated values, as Exchange 2007), w3c (the extended\nlog format of IIS), or none for no protocol logs")
	f.DurationVar(&s.LogAge, "log-age", 0, "`duration` after which a file in -logs is removed; default 720h")
	f.Var(&s.LogSize, "log-size", "`size` of all files of a log in -logs, without the current one; the oldest ones are removed; default 250M")
	f.BoolVar(&s.Subjects, "log-subjects", true, "write the subjects of messages to the tracking log")
	f.TextVar(&s.LogLevel, "log-level", slog.LevelInfo, "least important `level` of the log on the standard error: DEBUG, INFO, WARN or ERROR")
	f.Var(&s.DNS, "dns", "DNS `servers` as host or host:port, separated by commas; default: those of the system")
	f.BoolVar(&s.DNSSEC, "dnssec", false, "trust the DNS servers to validate DNSSEC, which DANE needs. They must validate, and run on this\nhost or be reached over a secure path: the relay would trust a forged answer")
	f.StringVar(&s.Cert, "cert", "", "PEM `file` with the certificate of this relay, for TLS; needs -key. Both files are read again when they\nchange")
	f.StringVar(&s.Key, "key", "", "PEM `file` with the key of -cert")
	f.Var(&s.MaxSize, "max-size", "`size` of the largest message, as 36M; default 36M")
	f.IntVar(&s.MaxRecipients, "max-recipients", 0, "maximum `number` of recipients of a message; default 200")
	f.IntVar(&s.MaxConnections, "max-connections", 0, "maximum `number` of open connections of a listener; default 5000")
	f.IntVar(&s.MaxPerClient, "max-per-client", 0, "maximum `number` of open connections of one client address, unless it is a loopback address; default 20")
	f.IntVar(&s.MaxHops, "max-hops", 0, "maximum `number` of hosts that a message may have passed; default 30")
	f.IntVar(&s.Rate, "rate", 0, "maximum `number` of messages that one client address, unless it is a loopback address, may send\nin a minute; default 600")
	f.DurationVar(&s.Expire, "expire", 0, "queue lifetime of a message, a `duration` as 48h; then the sender gets a failure report; default 48h")
	f.DurationVar(&s.Delay, "delay-notice", 0, "`duration` after which the sender of a message that waits gets a delay notice; default 12h, -1s for no notice")
	f.Var(&s.Postmaster, "postmaster", "`addresses` that get a copy of each failure report; default: none")
	f.StringVar(&s.ReportFrom, "report-from", "", "`address` in the From field of delivery reports; default: postmaster at -hostname")
	f.StringVar(&s.BadMail, "bad-mail", "", "`folder` for messages that can be neither delivered nor reported; default: the queue keeps them for 30 days")
	f.StringVar(&s.Pickup, "pickup", "", "`folder` whose .eml files are sent; default: none")
	f.StringVar(&s.Replay, "replay", "", "`folder` whose .eml files, exported from a queue, are sent; default: none")
	s.Pause = pauses[0]
	f.Var(Choice(&s.Pause, pauses...), "pause", "`part` of the relay that is paused until the setting changes or an administrator ends the pause: none;\nreceiving (new clients get 421 4.3.2, and files of -pickup and -replay wait); sending (no delivery\nbegins); or all")
	f.BoolVar(&s.RetryNow, "retry-now", false, "try all waiting messages at the start, and not at their next time")
	f.StringVar(&s.Metrics, "metrics", "", "`address` of a web server with /metrics for Prometheus, /healthz and /readyz, as 127.0.0.1:9025;\ndefault: none")
	s.Trace.define(f)
	s.Console.Define(f)
}

// fixed are the settings that cannot change while the gateway runs, besides State and the
// addresses of the listeners.
var fixed = []string{
	"hostname", "logs", "protocol-log", "log-age", "log-size", "log-subjects", "dns", "dnssec", "postmaster", "report-from", "bad-mail", "expire", "delay-notice", "pickup", "replay", "metrics",
	"console", "console-socket", "console-token", "console-audit",
}
