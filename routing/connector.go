package routing

import (
	"net/netip"
	"time"

	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// A Connector is one way for mail to leave: Exchange's send connector. Only
// Name and Spaces must be set; the zero value of everything else is a default:
// delivery by DNS, to port 25, for everybody, at all times.
//
// A Connector given to NewTable must not be changed afterwards.
type Connector struct {
	// Name is unique in the table and appears in queue names, logs and
	// reports.
	Name string
	// Disabled takes the connector out of use. Mail for which it would have
	// been the only way waits.
	Disabled bool
	// Spaces are the recipient domains that it serves, as
	// "type:space;cost": "*" for all, "example.com", "*.example.com" for a
	// domain and everything below it, "--" for all accepted domains
	// (Site.Domains and Site.BackupDomains), "[192.0.2.1]" for an address
	// literal. The type may be left out and can only be SMTP; the cost is 1 to
	// 100, by default 1. A connector without any serves only as a Fallback,
	// or is RoutedOnly.
	Spaces []string
	// Exclusive says that mail for the Spaces must not go another way: no
	// less specific address space serves it, also while the hosts are down or
	// the connector is disabled (the mail waits), and where the message is too
	// large or the sender is barred (it is refused). Only the Fallback serves
	// instead. It is for mail that must reach the hosts of a partner or of
	// one's own organisation and nobody else's: without it the connector for
	// "*" takes over.
	Exclusive bool
	// RoutedOnly says that the connector has no address spaces: it serves the
	// mail alone that a hook, an agent or an operator has sent its way
	// (queue.Recipient.Route, Router.Routed).
	RoutedOnly bool

	// SmartHosts take all mail of the connector. Empty means delivery by
	// DNS: to the MX hosts of each recipient's domain.
	SmartHosts []SmartHost
	// DirectFirst attempts delivery by DNS before the smart hosts, which then
	// serve the domains that are not found or cannot be reached.
	DirectFirst bool
	// Port of the hosts found by DNS. Default 25.
	Port int
	// Resolver finds the hosts, where they are to be found by other name
	// servers than the Router's own.
	Resolver Resolver

	// Transport carries the mail. Default: SMTP with a smtpclient.Transport
	// of the connector's own. One without a Hostname has the Router's.
	Transport Transport
	// Auth proves our identity to the hosts; nil leaves it to the Transport.
	// A connector for "*" that delivers by DNS cannot have one: the password
	// would go to everybody's hosts.
	Auth smtpclient.Authenticator
	// TLS is the rule for the hosts; nil leaves it to the Transport. At the
	// levels that published policies raise, the policy domain of a smart host
	// is its own name (RFC 8461, 3.4).
	TLS *smtpclient.TLSPolicy
	// DomainTLS are rules for single domains ("example.com", "*.example.com")
	// that the connector finds by DNS; they come before TLS.
	DomainTLS map[string]smtpclient.TLSPolicy

	// ReportSender is the reverse-path that takes the place of the null one
	// ("<>"), for smart hosts that refuse it, as Amazon SES does. Delivery
	// reports, and other mail with the null reverse-path, are lost there
	// without it. It is the full address of a mailbox that somebody reads, not
	// one with an automatic answer: when such mail cannot be delivered, the
	// smart host reports to it. The queue keeps the null reverse-path and never
	// reports on a report, so there are no loops; the recipients are sent with
	// NOTIFY=NEVER, so that hosts with DSN do not report either. With
	// DirectFirst, hosts found by DNS get the null reverse-path. Default: the
	// null reverse-path (RFC 5321, 4.5.5).
	ReportSender string

	// Scope limits whose mail may take this way. Mail outside it does not
	// see the connector.
	Scope Scope
	// MaxMessageSize in bytes; 0 is no limit. Larger mail takes another
	// connector, and is refused (5.3.4) when all that fit are too small.
	MaxMessageSize int64
	// AcceptSenders, where it is not empty, lists the only senders whose
	// mail the connector takes; RefuseSenders those whose it does not. Each
	// is "user@example.com", "example.com", "*.example.com" (with the domain
	// itself), "*" for all, or "<>" for the null reverse-path.
	AcceptSenders []string
	RefuseSenders []string
	// Priorities that are taken; the zero value is all.
	Priorities Priorities
	// System tells whether the queue's own messages are taken, or only they.
	System SystemMessages

	// Schedule is when the connector runs; nil is always. Mail for it waits.
	Schedule *Schedule
	// OversizeSchedule is when messages larger than OversizeSize bytes are
	// sent; nil is whenever the others are.
	OversizeSchedule *Schedule
	OversizeSize     int64
	// Hold keeps mail until somebody asks for it: see Router.ETRN and
	// Router.ATRN.
	Hold bool
	// HoldAccounts are the identities who may ask.
	HoldAccounts []string

	// MaxConcurrency bounds the deliveries to one next hop at the same time;
	// 0 leaves it to the queue.
	MaxConcurrency int
	// Retry are the waits between attempts; the last one repeats. Default:
	// the queue's RetryPolicy.
	Retry []time.Duration
	// Notice is how long a message may wait before its sender is notified of
	// the delay, and Expire how long before the queue gives it up. A negative
	// Notice never notifies. Default: the queue's RetryPolicy.
	Notice, Expire time.Duration
	// Fallback names the connector that serves when this one's hosts are all
	// down, before any other that matches.
	Fallback string
	// Errors changes what failures come to.
	Errors ErrorPolicy
}

// A Scope is the mail that a connector may be chosen for. Each list that is
// not empty must have an entry that fits; the zero value fits all mail.
type Scope struct {
	// Senders as in Connector.AcceptSenders.
	Senders []string
	// Networks of the clients that the mail came from.
	Networks []netip.Prefix
	// Receivers are names of receive connectors, or other origins
	// ("pickup", "dsn": queue.Origin.Connector).
	Receivers []string
	// Identities that the client proved to be.
	Identities []string
}

// Priorities is a set of message priorities.
type Priorities uint8

const (
	HighPriority   Priorities = 1 << iota // above 0
	NormalPriority                        // 0
	LowPriority                           // below 0
)

// SystemMessages says how a connector looks at the queue's own messages
// (delivery status notifications).
type SystemMessages uint8

const (
	SystemToo   SystemMessages = iota // they are like all others
	SystemOnly                        // nothing else is taken
	SystemNever                       // they are not taken
)

// An ErrorPolicy changes the outcome of failures on a connector's way.
type ErrorPolicy struct {
	// DowngradeDNS makes failures of the DNS temporary: domains that do not
	// exist, accept no mail or have no host are tried again until the mail
	// expires.
	DowngradeDNS bool
	// FailSmartHosts fails mail (5.4.0) when the DNS knows none of the smart
	// hosts. By default that is seen as an error of ours, soon to be mended,
	// and mail waits (4.4.0).
	FailSmartHosts bool
	// Downgrade lists replies that fail for good but shall be tried again, and
	// Upgrade those that shall fail although they are temporary: codes
	// ("550", "451") or enhanced codes ("5.7.1", "4.7.1").
	Downgrade []string
	Upgrade   []string
}
