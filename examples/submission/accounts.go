package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/emersion/go-smtp"
	"golang.org/x/crypto/bcrypt"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A verifier is what the file of -accounts has of a password: either a bcrypt hash or
// credentials for SCRAM.
type verifier struct {
	bcrypt []byte
	scram  smtpserver.ScramCredentials
}

func (v verifier) check(password string) bool {
	if v.bcrypt != nil {
		return bcrypt.CompareHashAndPassword(v.bcrypt, []byte(password)) == nil
	}
	return v.scram.Check(password)
}

// accounts are the verifiers by the name of the account in lower case.
type accounts struct {
	of    map[string]verifier
	decoy verifier // for names that do not exist
	scram bool     // all verifiers are for SCRAM
}

// parseAccounts parses the file of -accounts: one name:verifier a line. An error has the
// line, but not its text, which is secret.
func parseAccounts(text string) (*accounts, error) {
	a, seen, n := &accounts{of: make(map[string]verifier), scram: true}, make(map[string]int), 0
	for line := range strings.Lines(text) {
		n++
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		name, rest, _ := strings.Cut(line, ":")
		name = strings.ToLower(name)
		v, err := parseVerifier(rest)
		switch {
		case err != nil:
			return nil, fmt.Errorf("line %d: %w", n, err)
		case name == "":
			return nil, fmt.Errorf("line %d: the name is empty", n)
		case seen[name] > 0:
			return nil, fmt.Errorf("line %d: the name is also in line %d", n, seen[name])
		}
		if len(a.of) == 0 {
			a.decoy = v
		}
		seen[name], a.of[name] = n, v
		a.scram = a.scram && v.bcrypt == nil
	}
	if len(a.of) == 0 {
		return nil, errors.New("the file has no accounts")
	}
	return a, nil
}

// Limits of the cost of one login.
const (
	bcryptLen     = 60
	maxBcryptCost = 16
	minIterations = 4096 // RFC 7677, 4
	maxIterations = 5_000_000
)

var errVerifier = errors.New("want name:hash with a hash of htpasswd -B, or a verifier of doveadm pw -s SCRAM-SHA-256")

// parseVerifier parses a bcrypt hash or a SCRAM verifier. It accepts the forms of
// Dovecot, and the form of RFC 5803 that PostgreSQL uses.
func parseVerifier(text string) (verifier, error) {
	if rest, ok := strings.CutPrefix(text, "{SCRAM-SHA-256}"); ok { // iterations,salt,stored,server
		return scramVerifier(strings.Split(rest, ","))
	}
	if rest, ok := strings.CutPrefix(text, "SCRAM-SHA-256$"); ok { // iterations:salt$stored:server
		return scramVerifier(strings.FieldsFunc(rest, func(r rune) bool { return r == ':' || r == '$' }))
	}
	hash := strings.TrimPrefix(text, "{BLF-CRYPT}")
	cost, err := bcrypt.Cost([]byte(hash))
	switch {
	case err != nil:
		return verifier{}, errVerifier
	case len(hash) != bcryptLen:
		return verifier{}, errors.New("there is text after the hash")
	case cost > maxBcryptCost:
		return verifier{}, fmt.Errorf("the cost %d of the hash is more than %d", cost, maxBcryptCost)
	}
	return verifier{bcrypt: []byte(hash)}, nil
}

func scramVerifier(part []string) (v verifier, err error) {
	if len(part) != 4 {
		return v, errVerifier
	}
	c := &v.scram
	var errs [4]error
	c.Iterations, errs[0] = strconv.Atoi(part[0])
	c.Salt, errs[1] = base64.StdEncoding.DecodeString(part[1])
	c.StoredKey, errs[2] = base64.StdEncoding.DecodeString(part[2])
	c.ServerKey, errs[3] = base64.StdEncoding.DecodeString(part[3])
	if cmp.Or(errs[:]...) != nil || len(c.Salt) == 0 || len(c.StoredKey) != 32 || len(c.ServerKey) != 32 {
		return v, errVerifier
	}
	if c.Iterations < minIterations || c.Iterations > maxIterations {
		return v, fmt.Errorf("%d is not a number of iterations from %d to %d", c.Iterations, minIterations, maxIterations)
	}
	return v, nil
}

// authenticator offers PLAIN and LOGIN, and SCRAM-SHA-256 if every account can use it: a
// client tries the strongest mechanism first, and many do not try another.
func (a *accounts) authenticator() smtpserver.Authenticator {
	passwords := smtpserver.PasswordAuth(a.check)
	if !a.scram {
		return passwords
	}
	scram := &smtpserver.Scram{Lookup: a.lookup, Iterations: a.decoy.scram.Iterations, IgnoreCase: true}
	return smtpserver.Auths(scram, passwords)
}

// check takes the same time for names that do not exist, so that the time does not show
// which names exist.
func (a *accounts) check(_ context.Context, _ *smtpserver.Session, name, password string) error {
	v, known := a.of[strings.ToLower(name)]
	if !known {
		v = a.decoy
	}
	if !v.check(password) || !known {
		return smtp.ErrAuthFailed
	}
	return nil
}

func (a *accounts) lookup(_ context.Context, _ *smtpserver.Session, name string) (smtpserver.ScramCredentials, error) {
	v, known := a.of[strings.ToLower(name)]
	if !known {
		return v.scram, smtp.ErrAuthFailed
	}
	return v.scram, nil
}
