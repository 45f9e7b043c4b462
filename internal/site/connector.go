package site

import (
	"net/netip"
	"time"
)

// A SendConnector describes a send connector for people and programs. It never
// contains a secret. HoldAccounts and Scope.Identities are account names.
type SendConnector struct {
	Name    string `json:"name"`
	Enabled bool   `json:"enabled"`
	// Spaces are the address spaces, in the order of the settings.
	Spaces     []AddressSpace `json:"spaces"`
	Exclusive  bool           `json:"exclusive,omitempty"`
	RoutedOnly bool           `json:"routedOnly,omitempty"`
	// Fallback is the name of the connector that delivers the mail if all hosts
	// are down.
	Fallback string `json:"fallback,omitempty"`

	// Delivery is how the mail is sent: "DNS", "smart hosts", "DNS, then smart
	// hosts", or the type of a transport that is not SMTP.
	Delivery   string      `json:"delivery"`
	SmartHosts []SmartHost `json:"smartHosts,omitempty"`
	// Port is the port of hosts that are found by DNS.
	Port int  `json:"port,omitempty"`
	LMTP bool `json:"lmtp,omitempty"`
	// TLS is the TLS level; published policies can raise it. It is empty for a
	// transport that is not SMTP.
	TLS         string `json:"tls,omitempty"`
	ImplicitTLS bool   `json:"implicitTLS,omitempty"`
	// DomainTLS has the TLS levels of recipient domains.
	DomainTLS map[string]string `json:"domainTLS,omitempty"`
	// Auth reports whether the relay authenticates to the hosts.
	Auth         bool   `json:"auth"`
	ReportSender string `json:"reportSender,omitempty"`

	Scope          *Scope   `json:"scope,omitempty"` // nil: all mail
	MaxMessageSize int64    `json:"maxMessageSize,omitempty"`
	AcceptSenders  []string `json:"acceptSenders,omitempty"`
	RefuseSenders  []string `json:"refuseSenders,omitempty"`
	// Priorities are the accepted priorities: "high", "normal", "low". Empty
	// means all.
	Priorities []string `json:"priorities,omitempty"`
	// SystemMessages is "only" or "never", or empty.
	SystemMessages string `json:"systemMessages,omitempty"`

	Schedule *Schedule `json:"schedule,omitempty"` // nil: always open
	// OversizeSchedule replaces Schedule for messages larger than OversizeSize
	// bytes.
	OversizeSchedule *Schedule `json:"oversizeSchedule,omitempty"`
	OversizeSize     int64     `json:"oversizeSize,omitempty"`
	// OnDemand means that the mail waits until an operator requests it.
	OnDemand bool `json:"onDemand,omitempty"`
	// Hold means that the mail waits until a client requests it.
	Hold         bool     `json:"hold,omitempty"`
	HoldAccounts []string `json:"holdAccounts,omitempty"`

	// Limits of the connector. Zero values mean those of the queue.
	MaxConcurrency int        `json:"maxConcurrency,omitempty"`
	Retry          []Duration `json:"retry,omitempty"`
	DelayNotice    Duration   `json:"delayNotice,omitempty"` // negative: never
	Expiry         Duration   `json:"expiry,omitempty"`
}

// An AddressSpace is an address space of a send connector.
type AddressSpace struct {
	Space string `json:"space"` // "*", "--", "example.com", "*.example.com", "[192.0.2.1]"
	Cost  int    `json:"cost"`
}

// A SmartHost is a smart host of a send connector.
type SmartHost struct {
	Host       string `json:"host"` // with the port, if it is not 25
	MX         bool   `json:"mx,omitempty"`
	Preference int    `json:"preference"`
	Weight     int    `json:"weight"`
}

// A Scope is the mail that a send connector can be chosen for.
type Scope struct {
	Senders           []string       `json:"senders,omitempty"`
	Networks          []netip.Prefix `json:"networks,omitempty"`
	ReceiveConnectors []string       `json:"receiveConnectors,omitempty"`
	Identities        []string       `json:"identities,omitempty"`
}

// A Schedule is a schedule and its state now.
type Schedule struct {
	Text string `json:"text"` // as in the settings
	Zone string `json:"zone"` // the time zone of Text
	Open bool   `json:"open"`
	// Changes is when Open changes next. It is zero if that does not happen
	// within a year.
	Changes time.Time `json:"changes,omitzero"`
}

// A Duration is a time.Duration that JSON has as text, for example "15m0s".
type Duration time.Duration

// String returns the text of time.Duration.String.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText returns the text of String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads the text of String.
func (d *Duration) UnmarshalText(text []byte) error {
	t, err := time.ParseDuration(string(text))
	*d = Duration(t)
	return err
}
