package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-smtp"
	"golang.org/x/crypto/bcrypt"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// accounts maps account names in lower case to bcrypt hashes of their passwords.
type accounts map[string][]byte

const (
	bcryptLen     = 60 // of a hash
	maxBcryptCost = 16 // each step doubles the time of a login; 16 takes some seconds
)

// parseAccounts parses a file of `htpasswd -B`: one name:hash a line. It ignores
// empty lines and lines that begin with #.
func parseAccounts(path, text string) (accounts, error) {
	a, seen, n := accounts{}, map[string]int{}, 0
	for line := range strings.Lines(text) {
		n++
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		name, hash, _ := strings.Cut(line, ":")
		name = strings.ToLower(name)
		// The errors must not contain the line: it is secret.
		cost, err := bcrypt.Cost([]byte(hash))
		if err != nil || name == "" {
			return nil, fmt.Errorf("%s:%d: want name:hash with a bcrypt hash, as from htpasswd -B", path, n)
		}
		if len(hash) != bcryptLen {
			return nil, fmt.Errorf("%s:%d: there is text after the hash", path, n)
		}
		if cost > maxBcryptCost {
			return nil, fmt.Errorf("%s:%d: the cost %d of the hash is more than %d", path, n, cost, maxBcryptCost)
		}
		if first := seen[name]; first > 0 {
			return nil, fmt.Errorf("%s:%d: the name is also in line %d", path, n, first)
		}
		seen[name] = n
		a[name] = []byte(hash)
	}
	if len(a) == 0 {
		return nil, errors.New(path + ": no accounts")
	}
	return a, nil
}

func (a accounts) names() (names []string) {
	for n := range a {
		names = append(names, n)
	}
	return names
}

// check is the function for PasswordAuth. It takes the same time for unknown and
// known names, so that the time does not show which names exist.
func (a accounts) check(_ context.Context, _ *smtpserver.Session, name, password string) error {
	hash, known := a[strings.ToLower(name)]
	if !known {
		for _, hash = range a {
			break
		}
	}
	if bcrypt.CompareHashAndPassword(hash, []byte(password)) != nil || !known {
		return smtp.ErrAuthFailed
	}
	return nil
}
