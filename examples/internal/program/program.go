package program

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Gateway is what differs between the gateways: its settings, and its rules.
type Gateway interface {
	// Define defines the flags of the gateway's own settings.
	Define(f *flag.FlagSet)
	// Build checks the settings and makes the rules. It tells k each fault. It
	// opens no socket, and no file except by methods of k.
	Build(k *Kit) Rules
}

// A Storer is a Gateway whose queue is not a spool. Its folder is the setting state, not
// spool, and has the logs and what OpenStore puts there.
type Storer interface {
	Gateway
	// OpenStore opens the queue. It is called once, at the start, when all settings are
	// known to be valid and the folder exists.
	OpenStore(s *Settings, log *slog.Logger) (Store, error)
}

// A Store is a queue that the gateway closes at its end.
type Store interface {
	queue.Store
	io.Closer
}

// Rules are the parts of a gateway that a reload replaces.
type Rules struct {
	// Receive are the receive connectors. A reload must make the same number,
	// with the same addresses.
	Receive []Receive
	// Table has the send connectors.
	Table *routing.Table
	// Domains are the accepted domains, for the comparison of settings.
	Domains []policy.Domain
	// Hooks are called with each message before it is stored.
	Hooks []queue.Hook
	// Applied are called when these rules have come into use: at the start before a
	// listener opens, and after each reload without an error.
	Applied []func()
	// Warnings are what is probably wrong with the settings.
	Warnings []string

	// These are used at the start only. A reload does not replace them.

	// Retry is the retry policy. The default is that of -expire and -delay-notice.
	Retry queue.RetryPolicy
	// Servers have no listener.
	Servers []*smtpserver.Server
	Parts   []gateway.Inheritor
	Tasks   []func(context.Context) error
	Closers []io.Closer
}

// Receive is a receive connector with its address.
type Receive struct {
	Server  *smtpserver.Server
	Address string
	Setting string // the name of the setting with the address; default "listen"

	// RemoteNetworks are the networks of the clients that the Server is for; nil
	// means all. Several receive connectors with different networks may have one
	// address: the most specific network with the address of the client decides. A
	// reload may change the networks, but not whether there are any.
	RemoteNetworks []netip.Prefix
	NetworkSetting string // the name of their setting; default Setting
}

// A Program is the program of a gateway.
type Program struct {
	Name string
	// New makes a Gateway. It is called each time that the settings are read.
	New func() Gateway
	// ReadFile reads a configuration file. Without it, there is no flag -config.
	ReadFile func(path string, text []byte) ([]Setting, error)
	// Config is the configuration file that is read if the command line has neither
	// -config nor a setting. Default: none.
	Config string
}

// Main is the main function of a gateway.
func Main(name string, newGateway func() Gateway) {
	(&Program{Name: name, New: newGateway}).Main()
}

// Main runs the gateway with the arguments of the process, and ends the process.
func (p *Program) Main() { os.Exit(p.Run(os.Args[1:], os.Stdout, os.Stderr)) }

// Run runs the gateway until the process gets SIGINT or SIGTERM, and returns the
// exit status: 0 for success, 1 if the relay has failed, 2 if a setting is wrong.
func (p *Program) Run(args []string, stdout, stderr io.Writer) int {
	// Before anything else, because SIGHUP ends a process by default.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	l := p.parse(args, stderr)
	switch {
	case errors.Is(l.usage, flag.ErrHelp):
		return 0
	case l.usage != nil: // the FlagSet has written it
		return 2
	case l.check && len(l.rest) > 0:
		fmt.Fprintf(stderr, "%q is not a flag\n", strings.Join(l.rest, " "))
		return 2
	case l.check:
		return p.check(l, stdout, stderr)
	case l.other != "":
		if err := p.compare(l, args, stdout); err != nil {
			fmt.Fprintln(stderr, err)
			return 1
		}
		return 0
	}
	return gateway.Main(p.Name, l.rest, stderr, func(log *slog.Logger) (gateway.Runner, error) {
		log.Info("starting", "pid", os.Getpid())
		return p.start(l, args, hup, log)
	})
}

// loaded are settings that have been read.
type loaded struct {
	Settings
	source
	own     Gateway
	flags   *flag.FlagSet
	config  string
	other   string // the file of -compare
	check   bool
	rest    []string          // arguments that are not flags
	usage   error             // of the command line
	files   files             // that have been read
	lists   files             // files of recipients, which are read again without a reload
	paths   map[string]string // the names of files by their settings
	unread  bool              // the configuration file could not be read or parsed
	restart []string          // settings that cannot change while the gateway runs
}

// parse reads the command line and the configuration file.
func (p *Program) parse(args []string, stderr io.Writer) *loaded {
	l := &loaded{own: p.New(), flags: flag.NewFlagSet(p.Name, flag.ContinueOnError)}
	l.flags.SetOutput(stderr)
	l.flags.BoolVar(&l.check, "check", false, "check the settings and end: status 0 if they are valid, 2 if not")
	if p.ReadFile != nil {
		l.flags.StringVar(&l.config, "config", "", "configuration `file` in YAML. Its settings have the names of the flags; a flag has priority"+p.defaultConfig())
		l.flags.StringVar(&l.other, "compare", "", "show what the settings in another configuration `file` would change, by the mail of the last 24 hours, and end")
	}
	_, isStorer := l.own.(Storer)
	l.define(l.flags, isStorer)
	l.own.Define(l.flags)
	l.flags.Usage = func() {} // the explanations of all flags would hide an error
	if l.usage = l.flags.Parse(args); l.usage != nil {
		p.explain(l, stderr)
		return l
	}
	l.rest = l.flags.Args()
	if l.config == "" && !l.hasSettings() {
		l.config = p.Config
	}
	if l.config == "" {
		return l
	}
	l.file = l.config
	text, err := l.files.read(l.config)
	if err != nil {
		l.fault("config", err)
		l.unread = true
		return l
	}
	settings, err := p.ReadFile(l.config, text)
	if err != nil {
		l.faults = append(l.faults, fault{name: "config", text: err.Error()})
		l.unread = true
		return l
	}
	l.apply(l.flags, settings)
	return l
}

// explain writes the flags for -h, and a reference to -h after an error of the command line.
func (p *Program) explain(l *loaded, stderr io.Writer) {
	if !errors.Is(l.usage, flag.ErrHelp) {
		fmt.Fprintf(stderr, "%s -h explains each flag\n", p.Name)
		return
	}
	fmt.Fprintf(stderr, "Usage of %s:\n", p.Name)
	l.flags.PrintDefaults()
}

// defaultConfig returns the end of the text of -config.
func (p *Program) defaultConfig() string {
	if p.Config == "" {
		return ""
	}
	return ".\nDefault: " + p.Config + ", if no setting is given by a flag"
}

// hasSettings reports whether a setting is on the command line.
func (l *loaded) hasSettings() (has bool) {
	l.flags.Visit(func(x *flag.Flag) { has = has || !ofCommandLine[x.Name] })
	return has
}

// check checks settings for -check.
func (p *Program) check(l *loaded, stdout, stderr io.Writer) int {
	_, warnings, err := p.assemble(l, slog.New(slog.DiscardHandler))
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	for _, text := range warnings {
		fmt.Fprintln(stdout, "warning:", text)
	}
	fmt.Fprintln(stdout, "the settings are valid")
	return 0
}
