package main

import (
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy/gateway/console"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// settings are the values of the flags.
type settings struct {
	console                      console.Flags
	listen, hostname, state      string
	node, database, passwordFile string
	pooler                       bool
	beat, deadAfter              time.Duration
	domains                      []domain
	allow                        []netip.Prefix
	upstream                     string
	hourly                       int
	tls                          certificate
}

// A domain is a domain of the organization, and the server with its mailboxes.
type domain struct {
	name   string
	server routing.SmartHost
}

func (s *settings) addDomain(text string) error {
	name, host, _ := strings.Cut(text, "=")
	if name == "" || host == "" {
		return errors.New("not domain=host")
	}
	s.domains = append(s.domains, domain{name, routing.SmartHost{Host: host}})
	return nil
}

func (s *settings) check() error {
	switch {
	case s.database == "":
		return errors.New("-database: is required")
	case s.state == "":
		return errors.New("-state: is required")
	case s.hourly < 0:
		return errors.New("-hourly: must not be negative")
	case len(s.domains) == 0:
		return errors.New("-domain: is required")
	}
	return nil
}
