package routing

import (
	"net/netip"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// A Connector is a send connector: it defines for which domains mail is sent,
// and how. Only Name and Spaces must be set. The zero values of the other
// fields mean: delivery by DNS to port 25, for all mail, at all times.
//
// Do not change a Connector, or what it points to, after it was given to
// NewTable.
type Connector struct {
	// Name is unique in the table, at most 64 bytes long, and without control
	// characters. It appears in queue names, logs and reports.
	Name string
	// Disabled means that the connector is not used. Mail that no other
	// connector accepts waits until the connector is enabled.
	Disabled bool
	// Spaces are the address spaces: the recipient domains that the connector
	// serves. The form is "type:space;cost". The space is one of
	//
	//   - "*": all domains
	//   - "example.com": this domain
	//   - "*.example.com": this domain and all its subdomains
	//   - "--": all accepted domains (Site.Domains and Site.BackupDomains)
	//   - "[192.0.2.1]": an address literal
	//
	// The type is optional and must be SMTP. The cost is 1 to 100; the default
	// is 1. Spaces around each part are ignored, upper and lower case are equal,
	// and a name that is not ASCII is converted (IDNA). A connector without address spaces must be RoutedOnly or the
	// Fallback of another connector.
	Spaces []string
	// Exclusive prevents connectors with less specific address spaces from
	// delivering mail for Spaces. Only the Fallback and connectors with an
	// equally specific address space are alternatives. If the hosts are down or
	// the connector is disabled, the mail waits. If the message is too large or
	// the sender is refused, the mail is refused. Set Exclusive for mail that
	// must reach only the servers of a partner or of your own organization.
	// Without Exclusive, the connector for "*" delivers the mail in these
	// cases.
	Exclusive bool
	// RoutedOnly marks a connector without address spaces. It gets only mail
	// that a hook, an agent or an operator routes to it
	// (queue.Recipient.Route, Router.Routed).
	RoutedOnly bool

	// SmartHosts receive all mail of the connector. If it is empty, the
	// connector delivers by DNS, to the MX hosts of each recipient's domain.
	SmartHosts []SmartHost
	// DirectFirst attempts delivery by DNS before the smart hosts. The smart
	// hosts then receive mail for domains that are not found in the DNS or
	// whose hosts cannot be reached.
	DirectFirst bool
	// Port is the port of hosts that are found by DNS. The default is 25.
	Port int
	// Resolver finds the hosts of this connector. The default is
	// Router.Resolver.
	Resolver Resolver

	// Transport delivers the mail. By default the Router makes an SMTP
	// transport for the connector (see Router.NewTransport). A
	// smtpclient.Transport without a Hostname uses that of the Router.
	Transport Transport
	// Auth authenticates the relay to the hosts. If it is nil, the setting of
	// the Transport applies. A connector for "*" that delivers by DNS must not
	// have Auth: it would send the password to the hosts of any domain.
	Auth smtpclient.Authenticator
	// TLS is the TLS policy for the hosts. If it is nil, the policy of the
	// Transport applies. At the levels that use published policies (DANE,
	// MTA-STS), the policy for a smart host is the one that is published for
	// the name of the smart host (RFC 8461, 3.4).
	TLS *smtpclient.TLSPolicy
	// DomainTLS has TLS policies for recipient domains ("example.com",
	// "*.example.com") whose hosts the connector finds by DNS. They take
	// precedence over TLS.
	DomainTLS map[string]smtpclient.TLSPolicy

	// ReportSender replaces the null reverse-path ("<>") for smart hosts that
	// refuse it, as Amazon SES does. Without it, such smart hosts refuse
	// delivery reports and other mail with the null reverse-path, and that
	// mail is lost. The default is the null reverse-path (RFC 5321, 4.5.5).
	//
	// ReportSender is the full address of a mailbox that a person reads. The
	// mailbox must not send automatic replies. If mail with this sender cannot
	// be delivered, the smart host sends its report to this address. The queue
	// keeps the null reverse-path and never sends a report on a report, so
	// there is no loop. The RCPT commands contain NOTIFY=NEVER, so that hosts
	// with the DSN extension also send no report. With DirectFirst, hosts that
	// are found by DNS receive the null reverse-path.
	ReportSender string

	// Scope limits the mail that can use the connector. For mail out of its
	// scope, the connector is ignored.
	Scope Scope
	// MaxMessageSize is the maximum message size in bytes; 0 means no limit. A
	// larger message uses another connector. If no other connector accepts it,
	// the recipient fails (5.3.4).
	MaxMessageSize int64
	// AcceptSenders, if not empty, lists the senders whose mail the connector
	// accepts. RefuseSenders lists senders whose mail it refuses, and takes
	// precedence. An entry is "user@example.com", "example.com",
	// "*.example.com" (the domain and its subdomains), "*" (all senders), or
	// "<>" (the null reverse-path).
	AcceptSenders []string
	RefuseSenders []string
	// Priorities are the message priorities that the connector accepts. The
	// zero value accepts all.
	Priorities Priorities
	// HeaderPriority also uses the priority that the author has given in the header
	// (Importance, X-Priority, Priority), for a message whose MT-PRIORITY is 0. It
	// needs Priorities. The Router then reads the header before each attempt. It does
	// not change the order in which mail is delivered: anyone can set these fields.
	HeaderPriority bool
	// SystemMessages controls whether the connector accepts the messages that
	// the queue itself creates.
	SystemMessages SystemMessages

	// Schedule is when the connector runs; nil means always. At other times
	// its mail waits. An operator can start the mail of a next hop at such a time,
	// as for OnDemand below; mail for the same next hop that arrives in the 10
	// minutes after the request is also sent.
	Schedule *Schedule
	// OversizeSchedule replaces Schedule for messages larger than OversizeSize
	// bytes. Set both or neither. If OversizeSchedule is nil, Schedule applies
	// to all messages.
	OversizeSchedule *Schedule
	OversizeSize     int64
	// Hold makes the mail wait until a client requests it: see Router.ETRN and
	// Router.ATRN.
	Hold bool
	// HoldAccounts are the authenticated identities that may request held mail.
	// Upper and lower case are equal.
	// If it is empty, every client may request the mail by ETRN, and no client
	// may request it by ATRN.
	HoldAccounts []string

	// OnDemand makes the mail wait until an operator requests it, for example until
	// a dial-up line is up: by [queue.Queue.RetryQueues] or [queue.RetryNow] for one
	// of the connector's next hops (a console, relayctl). All mail of the connector is then sent, also
	// mail that arrives in the 10 minutes after the request. No client can request it.
	OnDemand bool

	// MaxConcurrency is the maximum number of concurrent deliveries to one
	// next hop. If it is 0, the limit of the queue applies.
	MaxConcurrency int
	// Retry lists the retry intervals; the last one repeats. The default is
	// the queue's RetryPolicy.
	Retry []time.Duration
	// Notice is the time after which the sender gets a delay notice. A
	// negative Notice means never. Expire is the queue lifetime. The defaults
	// are those of the queue's RetryPolicy.
	Notice, Expire time.Duration
	// Fallback is the name of the connector that delivers the mail if all hosts
	// of this connector are down. The router tries it before other connectors
	// that match.
	Fallback string
	// Errors changes how the connector treats failures.
	Errors ErrorPolicy
}

// A Scope selects the mail that a connector can be chosen for. A message is in
// scope if each list that is not empty has an entry that matches the message.
// The zero value matches all mail.
type Scope struct {
	// Senders are entries as in Connector.AcceptSenders.
	Senders []string
	// Networks are the networks of the clients that submit the mail.
	Networks []netip.Prefix
	// ReceiveConnectors are the names of receive connectors, or other origins
	// ("pickup", "dsn"): values of queue.Origin.Connector.
	ReceiveConnectors []string
	// Identities are the authenticated identities of clients
	// (queue.Origin.Identity). Upper and lower case are equal.
	Identities []string
}

// Priorities is a set of message priorities. Combine the constants with |.
type Priorities uint8

const (
	HighPriority   Priorities = 1 << iota // greater than 0
	NormalPriority                        // 0
	LowPriority                           // less than 0
)

// SystemMessages controls whether a connector accepts the messages that the
// queue itself creates (delivery status notifications).
type SystemMessages uint8

const (
	SystemAllowed SystemMessages = iota // accepted like other messages
	SystemOnly                          // no other messages are accepted
	SystemNever                         // not accepted
)

// An ErrorPolicy changes whether a failure is permanent or temporary, and explains it.
type ErrorPolicy struct {
	// DowngradeDNS makes DNS failures temporary. Mail for a domain that does
	// not exist, accepts no mail or has no host is retried until it expires.
	DowngradeDNS bool
	// DowngradeLoops makes mail wait (4.4.6) whose best MX host is this relay. By
	// default it fails at once (5.4.6). Set it where connectors are removed while
	// their mail waits, and such mail then has only a connector that uses the DNS.
	DowngradeLoops bool
	// FailSmartHosts fails mail (5.4.0) if the DNS has no address for any of
	// the smart hosts. By default this counts as a configuration error that
	// will be corrected, and the mail waits (4.4.0).
	FailSmartHosts bool
	// Downgrade lists permanent replies that are treated as temporary. Upgrade
	// lists temporary replies that are treated as permanent. An entry is a
	// reply code ("550", "451") or an enhanced code ("5.7.1", "4.7.1").
	Downgrade []string
	Upgrade   []string
	// Explain returns what a refusal by a host means and what to do about it, on one
	// line; empty for no explanation. The text is added to the reply, in brackets, and
	// is then in logs, on the pages of the console and in reports. It must be safe for
	// concurrent use, must not change the reply, and must contain no secret. nil
	// explains nothing. See oauth.Explain in smtpclient/oauth.
	Explain func(reply *smtp.SMTPError) string
}
