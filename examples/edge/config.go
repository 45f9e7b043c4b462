package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/console"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// A config has the values of the file. edge.yaml explains each setting.
type config struct {
	Hostname    string
	Spool       string
	Logs        string
	DNS         []string
	Certificate string
	Key         string
	Domains     []domain
	Receive     struct {
		Internet     struct{ Listen string }
		Organization struct {
			Listen            string
			ExternallySecured []string `yaml:"externally-secured"`
			Accounts          string
		}
	}
	Send struct {
		Internet struct {
			Cost int
			Port int
			TLS  string
		}
		Organization struct {
			SmartHosts   []routing.SmartHost `yaml:"smart-hosts"`
			TLS          string
			Roots        string
			User         string
			PasswordFile string `yaml:"password-file"`
		}
	}
	Filters filters
	Console struct {
		Address   string
		Socket    string
		TokenFile string `yaml:"token-file"`
		AuditDir  string `yaml:"audit"`
	}

	source   `yaml:"-"`
	warnings []string // of a check
}

type domain struct {
	Name           string
	Kind           string
	Recipients     []string
	RecipientsFile string `yaml:"recipients-file"`
}

type filters struct {
	Connection struct {
		Allow            []string
		Block            []string
		AllowLists       []string `yaml:"allow-lists"`
		BlockLists       []string `yaml:"block-lists"`
		ExceptRecipients []string `yaml:"except-recipients"`
	}
	Sender struct {
		Addresses []string
		Domains   []string
		Blank     bool
		MustExist bool `yaml:"must-exist"`
	}
	Recipient struct {
		Addresses []string
		Internal  []string
	}
	Spoofing       bool
	SPF            string
	DKIM           string
	DMARC          string
	AuthResults    bool `yaml:"authentication-results"`
	HeaderFirewall bool `yaml:"header-firewall"`
}

// maxConfig is the maximum size of the file in bytes.
const maxConfig = 4 << 20

// load reads the file. It returns syntax errors; newRules returns those of the
// values. All errors have their line.
func load(path string) (*config, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxConfig+1))
	if err == nil && len(text) > maxConfig {
		err = fmt.Errorf("%s: longer than %d bytes", path, maxConfig)
	}
	if err != nil {
		return nil, err
	}
	// These filters are on by default.
	c := &config{Spool: "spool", Logs: "logs", source: source{file: path},
		Filters: filters{Spoofing: true, SPF: "check", DKIM: "check", DMARC: "reject", AuthResults: true, HeaderFirewall: true}}
	c.Send.Internet.Cost, c.Send.Internet.Port = 10, 25
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(c); errors.Is(err, io.EOF) {
		c.syntax(errors.New("the file is empty"))
	} else if err != nil {
		c.syntax(err)
	} else if err := yaml.Unmarshal(text, &c.root); err != nil { // again, for the line numbers
		c.syntax(err)
	} else {
		c.end(d)
	}
	return c, c.err()
}

// end reports a second document, which would not be read, for example if two files
// were joined.
func (s *source) end(d *yaml.Decoder) {
	var more yaml.Node
	switch err := d.Decode(&more); {
	case errors.Is(err, io.EOF):
	case err != nil:
		s.syntax(err)
	default:
		s.faults = append(s.faults, fault{max(more.Line, 1), "a second document (after --- or ...) would not be read"})
	}
}

// console returns the flags of the console.
func (c *config) console() *console.Flags { return (*console.Flags)(&c.Console) }

// server checks the settings of the process.
func (c *config) server() {
	for path, value := range map[string]string{"hostname": c.Hostname, "spool": c.Spool, "logs": c.Logs} {
		if value == "" {
			c.fault(path, errors.New("is required"))
		}
	}
	c.hostname()
	for path, value := range map[string]string{"receive.internet.listen": c.Receive.Internet.Listen,
		"receive.organization.listen": c.Receive.Organization.Listen} {
		_, err := listenAddr(value)
		c.fault(path, err)
	}
	if web := c.console().Install(&gateway.Gateway{Queue: new(queue.Queue)}); web != nil {
		c.fault("console", web.Validate())
	}
	for i, s := range c.DNS {
		_, err := netip.ParseAddrPort(s)
		if _, e := netip.ParseAddr(s); e != nil && err != nil {
			c.fault(fmt.Sprintf("dns[%d]", i), fmt.Errorf("%q is not an address with or without a port", s))
		}
	}
}

// hostname checks the host name before other parts use it.
func (c *config) hostname() {
	err := (&gateway.Gateway{Hostname: c.Hostname}).Validate() // it also reports that there is no queue
	for _, one := range err.(interface{ Unwrap() []error }).Unwrap() {
		if f := one.(*gateway.Finding); f.Subject == "Hostname" {
			c.fault("hostname", errors.New(f.Text))
		}
	}
}

// listenAddr parses "address:port" and ":port".
func listenAddr(s string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(s)
	n, err2 := strconv.ParseUint(port, 10, 16)
	a := netip.IPv4Unspecified()
	var err3 error
	if host != "" {
		a, err3 = netip.ParseAddr(host)
	}
	if errors.Join(err, err2, err3) != nil {
		return netip.AddrPort{}, fmt.Errorf("%q is not address:port", s)
	}
	return netip.AddrPortFrom(a, uint16(n)), nil
}

func (c *config) resolver() *routing.DNSResolver { return &routing.DNSResolver{Servers: c.DNS} }

// fixed returns an error if n changes a setting that a running process cannot
// change. The error names each of them.
func (c *config) fixed(n *config) error {
	for path, same := range map[string]bool{
		"hostname":                    c.Hostname == n.Hostname,
		"spool":                       c.Spool == n.Spool,
		"logs":                        c.Logs == n.Logs,
		"dns":                         slices.Equal(c.DNS, n.DNS),
		"receive.internet.listen":     c.Receive.Internet.Listen == n.Receive.Internet.Listen,
		"receive.organization.listen": c.Receive.Organization.Listen == n.Receive.Organization.Listen,
		"console":                     c.Console == n.Console,
		"send.organization.roots":     c.Send.Organization.Roots == n.Send.Organization.Roots,
	} {
		if !same {
			n.fault(path, errors.New("cannot change without a restart"))
		}
	}
	return n.err()
}
