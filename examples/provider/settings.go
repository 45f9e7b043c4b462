package main

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/policy/gateway/console"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// settings are the values of the flags.
type settings struct {
	console                                            console.Flags
	listen, customers, cert, key, hostname, spool, dns string
	keep                                               time.Duration
	port                                               int
}

func (s *settings) check() error {
	if s.spool == "" {
		return errors.New("-spool: is required")
	}
	if s.keep <= 0 {
		return fmt.Errorf("-keep: %v is not a queue lifetime", s.keep)
	}
	return nil
}

// A customer is one line of the file of -customers.
type customer struct {
	account, password string
	domains           []string
	hosts             []routing.SmartHost // at most one; if none, the MX hosts
	port              int                 // of the MX hosts
}

func (s *settings) readCustomers() (all []customer, err error) {
	if s.customers == "" {
		return nil, errors.New("-customers: is required")
	}
	b, err := os.ReadFile(s.customers)
	if err != nil {
		return nil, fmt.Errorf("-customers: %w", err)
	}
	seen := map[string]bool{}
	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		// The error does not contain the line, which has the password.
		if len(f) < 3 || len(f) > 4 {
			return nil, fmt.Errorf("-customers: %s:%d: want account, password, domains and optionally a host", s.customers, n)
		}
		c := customer{account: f[0], password: f[1], domains: strings.Split(f[2], ",")}
		if len(f) == 4 {
			c.hosts = routing.SmartHosts(f[3])
		} else {
			c.port = s.port
		}
		// Two customers with one domain could request each other's mail.
		for _, name := range append([]string{c.account}, c.domains...) {
			if name = strings.ToLower(name); seen[name] {
				return nil, fmt.Errorf("-customers: %s:%d: %s is listed twice", s.customers, n, name)
			}
			seen[name] = true
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("-customers: %s has no customers", s.customers)
	}
	return all, nil
}

// passwords returns the check of account and password.
func passwords(customers []customer) func(context.Context, *smtpserver.Session, string, string) error {
	of := map[string]string{}
	for _, c := range customers {
		of[c.account] = c.password
	}
	return func(_ context.Context, _ *smtpserver.Session, user, password string) error {
		want, known := of[user]
		if same := subtle.ConstantTimeCompare([]byte(want), []byte(password)) == 1; known && same {
			return nil
		}
		return smtp.ErrAuthFailed
	}
}

// senders returns the sender addresses that each account may use.
func senders(customers []customer) map[string][]string {
	of := map[string][]string{}
	for _, c := range customers {
		for _, d := range c.domains {
			of[c.account] = append(of[c.account], "@"+d)
		}
	}
	return of
}

func (s *settings) certificate() (cert tls.Certificate, err error) {
	if s.cert == "" || s.key == "" {
		return cert, errors.New("-cert, -key: are required: passwords are sent only over TLS")
	}
	if cert, err = tls.LoadX509KeyPair(s.cert, s.key); err != nil {
		err = fmt.Errorf("-cert, -key: %w", err)
	}
	return cert, err
}

// resolver returns a resolver that uses the servers of -dns.
func (s *settings) resolver() routing.Resolver {
	return &routing.DNSResolver{Servers: strings.FieldsFunc(s.dns, func(r rune) bool { return r == ',' })}
}
