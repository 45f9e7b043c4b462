package main

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A customer is one line of the file of -customers.
type customer struct {
	account, password string
	domains           []string
	hosts             []routing.SmartHost // at most one; if none, the MX hosts
}

// parseCustomers parses the file of -customers. An error has the line, but not its
// text, which has a password.
func parseCustomers(text string) (all []customer, err error) {
	seen := map[string]int{}
	n := 0
	for line := range strings.Lines(text) {
		n++
		f, comment := fields(line)
		if len(f) == 0 {
			continue
		}
		if len(f) < 3 || len(f) > 4 {
			reason := ""
			if comment {
				reason = "; what follows a # after a space is a comment, so a password cannot begin with #"
			}
			return nil, fmt.Errorf("line %d: want account, password, domains and optionally a host%s", n, reason)
		}
		c := customer{account: f[0], password: f[1], domains: strings.Split(f[2], ",")}
		if len(f) == 4 {
			c.hosts = routing.SmartHosts(f[3])
		}
		// Two customers with one domain could request each other's mail.
		if slices.Contains(c.domains, "") {
			return nil, fmt.Errorf("line %d: a domain is empty: is there a comma too many?", n)
		}
		names := []string{"account " + c.account}
		for _, d := range c.domains {
			names = append(names, "domain "+d)
		}
		for _, name := range names {
			key := strings.ToLower(name)
			if first := seen[key]; first > 0 {
				return nil, fmt.Errorf("line %d: the %s is listed twice, also in line %d", n, name, first)
			}
			seen[key] = n
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, errors.New("the file has no customers")
	}
	return all, nil
}

// fields returns the fields of a line, without a comment. A comment begins with # at
// the beginning of the line or after a space.
func fields(line string) (f []string, comment bool) {
	for _, one := range strings.Fields(line) {
		if strings.HasPrefix(one, "#") {
			return f, true
		}
		f = append(f, one)
	}
	return f, false
}

// passwords returns the check of account and password.
func passwords(customers []customer) func(context.Context, *smtpserver.Session, string, string) error {
	of := map[string]string{}
	for _, c := range customers {
		of[strings.ToLower(c.account)] = c.password
	}
	return func(_ context.Context, _ *smtpserver.Session, user, password string) error {
		want, known := of[strings.ToLower(user)]
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
