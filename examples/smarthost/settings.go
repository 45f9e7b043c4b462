package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/bridgehead-mail/bridgehead/policy/gateway/console"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// settings are the values of the flags.
type settings struct {
	console                             console.Flags
	listen, upstream, spool, hostname   string
	user, passwordFile, tokenFile, logs string
	reportSender                        string
	allow                               []netip.Prefix
	tls                                 smtpclient.TLSLevel
}

// complete checks the settings and sets the defaults that depend on others.
func (s *settings) complete() error {
	switch {
	case len(s.allow) == 0:
		return errors.New("-allow: is required")
	case s.upstream == "":
		return errors.New("-upstream: is required")
	case s.spool == "":
		return errors.New("-spool: is required")
	}
	s.logs = cmp.Or(s.logs, filepath.Join(s.spool, "logs"))
	return nil
}

// credentials returns what the relay logs in with at the upstream, or nil
// without -user.
func (s *settings) credentials() (smtpclient.Authenticator, error) {
	switch {
	case s.user == "" && s.passwordFile == "" && s.tokenFile == "":
		return nil, nil
	case s.user == "":
		return nil, errors.New("-user: is required with -password-file and -token-file")
	case (s.passwordFile == "") == (s.tokenFile == ""):
		return nil, errors.New("-user: needs one of -password-file and -token-file")
	case s.tokenFile != "":
		return smtpclient.TokenAuth(s.user, func(context.Context) (string, error) { return secret(s.tokenFile) }), nil
	}
	password, err := secret(s.passwordFile)
	if err != nil {
		return nil, fmt.Errorf("-password-file: %w", err)
	}
	return smtpclient.PasswordAuth(s.user, password), nil
}

// secret reads the first line of a file. It must not be empty.
func secret(name string) (string, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	if line = strings.TrimRight(line, "\r"); line == "" {
		return "", fmt.Errorf("%s: the first line is empty", name)
	}
	return line, nil
}
