package program

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Kit has the parts from which Build makes rules. Build may set defaults of
// Settings that depend on its own settings.
type Kit struct {
	*loaded
	Queue    *queue.Queue
	Router   *routing.Router
	Resolver routing.Resolver
	Logger   *slog.Logger

	// Quiet leaves the lines about each message out of the log, unless -log-level is
	// set: the tracking log has them too, and a second line would cost more than the
	// system calls of a delivery.
	Quiet bool

	parts      *parts
	tls        *tls.Config
	tables     map[string]watched      // by setting
	transports []*smtpclient.Transport // of the rules
}

// Fault reports that a setting is wrong. A nil error is no fault.
func (k *Kit) Fault(setting string, err error) { k.fault(setting, err) }

// Failed reports whether a setting has a fault.
func (k *Kit) Failed() bool { return len(k.faults) > 0 }

// Require reports that a setting is missing, unless set is true or the setting has
// another fault.
func (k *Kit) Require(setting string, set bool) {
	if !set && !k.faulty(setting) {
		k.Fault(setting, errors.New("is required"))
	}
}

// Each checks the values of a setting with several values. A fault names the value, as
// "filters.sender.domains[1]".
func (k *Kit) Each(setting string, values []string, check func(value string) error) {
	for i, v := range values {
		k.Fault(fmt.Sprintf("%s[%d]", setting, i), check(v))
	}
}

// Fixed names settings of the gateway that cannot change while it runs.
func (k *Kit) Fixed(settings ...string) { k.restart = append(k.restart, settings...) }

// TLSConfig has the certificate of -cert; nil if there is none.
func (k *Kit) TLSConfig() *tls.Config { return k.tls }

// Server returns a server with the limits, the certificate and the logs that all
// receive connectors have.
func (k *Kit) Server(name string) *smtpserver.Server {
	srv := &smtpserver.Server{
		Name: name, TLSConfig: k.tls,
		Limits: smtpserver.Limits{
			MessageSize: int64(k.MaxSize), Recipients: k.MaxRecipients, Connections: k.MaxConnections,
			ConnectionsPerAddr: k.MaxPerClient, MessageRate: k.Rate, Hops: k.MaxHops,
		},
	}
	if s, is := k.parts.store.(*spool.Spool); is {
		srv.ContentFile = s.CreateFile
	}
	if k.parts.received != nil {
		srv.ProtocolLog = k.parts.received
	}
	return srv
}

// Transport returns an SMTP transport with the protocol log. A reload closes its idle
// sessions; after that, it keeps no idle sessions.
func (k *Kit) Transport(name string) *smtpclient.Transport {
	t := k.parts.transport(name)
	k.transports = append(k.transports, t)
	return t
}

func (p *parts) transport(name string) *smtpclient.Transport {
	t := &smtpclient.Transport{Name: name}
	if p.sent != nil {
		t.ProtocolLog = p.sent
	}
	return t
}

// Install adds the policies of a gate to a server. It reports an error for the
// setting.
func (k *Kit) Install(setting string, gate *policy.Gate, srv *smtpserver.Server) {
	gate.Queue = k.Queue
	if len(k.faults) == 0 { // otherwise the gate may be incomplete
		k.Fault(setting, gate.Install(srv))
	}
}

// Domains returns the accepted domains of a setting as one value.
func (k *Kit) Domains(setting string, list []policy.Domain) *policy.Domains {
	if len(k.faults) > 0 {
		return new(policy.Domains)
	}
	d, err := policy.NewDomains(list...)
	if err != nil {
		k.Fault(setting, err)
		d = new(policy.Domains)
	}
	return d
}

// Table makes the routing table. domains are the accepted domains whose MX records
// name this gateway, and listen the addresses at which it listens: a route to one of
// them would be a mail loop.
func (k *Kit) Table(domains []policy.Domain, listen []netip.AddrPort, connectors ...routing.Connector) *routing.Table {
	s := routing.Site{Addrs: listen}
	if k.Hostname != "" {
		s.Names = []string{k.Hostname}
	}
	for _, d := range domains {
		s.Domains = append(s.Domains, d.Name)
	}
	if len(k.faults) > 0 {
		return nil
	}
	table, err := s.NewTable(connectors...)
	if err != nil {
		k.faults = append(k.faults, fault{name: "routing", text: err.Error()})
	}
	return table
}

// Recipients returns the directory in the file of a setting. It is read again when
// the file changes; if the new file is not valid, the previous list stays in use, and
// the log and the console report it. An empty path returns nil.
func (k *Kit) Recipients(setting, path string) policy.Directory {
	if path == "" {
		return nil
	}
	k.path(setting, path)
	d := &policy.FileDirectory{Path: path}
	k.lists.add(path)
	k.Fault(setting, d.Load())
	d.Logger = k.Logger
	k.tables[setting] = watched{path, d}
	return d
}

// A watched is a file that is read again when it changes.
type watched struct {
	path string
	from interface{ Err() error }
}

// Aliases returns the table of aliases in the file of a setting, which is read again in
// the same way as that of Recipients. An empty path returns nil.
func (k *Kit) Aliases(setting, path string) *policy.AliasFile {
	if path == "" {
		return nil
	}
	k.path(setting, path)
	f := &policy.AliasFile{Path: path}
	k.lists.add(path)
	k.Fault(setting, f.Load())
	f.Logger = k.Logger
	k.tables[setting] = watched{path, f}
	return f
}

// Listen parses the address of a listener, for Table. It reports a fault unless the setting
// has one already.
func (k *Kit) Listen(setting, address string) []netip.AddrPort {
	a, err := ListenAddr(address)
	if !k.faulty(setting) {
		k.Fault(setting, err)
	}
	return []netip.AddrPort{a}
}

// ListenAddr parses "address:port" and ":port".
func ListenAddr(s string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(s)
	n, err2 := strconv.ParseUint(port, 10, 16)
	a := netip.IPv4Unspecified()
	var err3 error
	if host != "" {
		a, err3 = netip.ParseAddr(host)
	}
	if errors.Join(err, err2, err3) != nil {
		return netip.AddrPort{}, errors.New(strconv.Quote(s) + " is not an address with a port, as :25 or 10.1.0.25:25")
	}
	return netip.AddrPortFrom(a, uint16(n)), nil
}

// parts are the parts of a gateway that a reload does not replace.
type parts struct {
	queue    *queue.Queue
	router   *routing.Router
	resolver *routing.DNSResolver
	received *smtpserver.ProtocolLogWriter
	sent     *smtpclient.ProtocolLogWriter
	log      *slog.Logger
	hooks    hooks
	trace    *tracing
	kept     map[string]any // see Keep
	store    Store          // nil: the settings are only checked
	folder   string         // Settings.State at the start
}

// kit returns a Kit for settings that have been read.
func (p *parts) kit(l *loaded) *Kit {
	k := &Kit{loaded: l, Queue: p.queue, Router: p.router, Resolver: p.resolver, Logger: p.log, parts: p,
		tables: make(map[string]watched)}
	k.tls = k.certificate()
	k.Require(k.state, strings.TrimSpace(k.State) != "")
	k.checkHostname()
	k.checkSize()
	k.checkTrace()
	k.checkLimits()
	k.checkLogs()
	return k
}

// checkHostname checks the host name before other parts use it.
func (k *Kit) checkHostname() {
	err := (&gateway.Gateway{Hostname: k.Hostname}).Validate() // it also reports that there is no queue
	many, _ := err.(interface{ Unwrap() []error })
	for _, one := range many.Unwrap() {
		var f *gateway.Finding
		if errors.As(one, &f) && f.Subject == "Hostname" {
			k.Fault("hostname", errors.New(f.Text))
		}
	}
}

// Pressure returns the back pressure that defers mail from outside when the disk of
// Settings.State is nearly full or the queue is long.
func (k *Kit) Pressure() *policy.Pressure {
	if k.parts.store == nil {
		return nil // a check does not make the folder
	}
	return &policy.Pressure{Resources: []policy.Resource{policy.DiskUse(k.parts.folder), policy.QueueLength(k.parts.store)}}
}

// Keep returns the value that the gateway keeps under a name: the zero value at first,
// and the same value in each reload. It is for state that a reload must not lose. Build
// must not put settings into it before Rules.Applied is called, because a reload may
// still fail.
func Keep[T any](k *Kit, name string) *T {
	if v, ok := k.parts.kept[name].(*T); ok {
		return v
	}
	v := new(T)
	k.parts.kept[name] = v
	return v
}
