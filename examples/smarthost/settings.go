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

	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// settings are the flags.
type settings struct {
	listen, upstream, spool, hostname   string
	user, passwordFile, tokenFile, logs string
	reportSender                        string
	allow                               []netip.Prefix
	tls                                 smtpclient.TLSLevel
}

// complete checks the settings and fills in what follows from others.
func (s *settings) complete() error {
	switch {
	case len(s.allow) == 0:
		return errors.New("-allow: which machines may relay?")
	case s.upstream == "":
		return errors.New("-upstream: who takes the mail?")
	case s.spool == "":
		return errors.New("-spool: where shall mail be kept?")
	}
	s.logs = cmp.Or(s.logs, filepath.Join(s.spool, "logs"))
	if s.hostname == "" {
		s.hostname, _ = os.Hostname() // each part's default, but the tracking log's
	}
	return nil
}

// credentials are what we prove our identity with; nil without -user.
func (s *settings) credentials() (smtpclient.Authenticator, error) {
	switch {
	case s.user == "" && s.passwordFile == "" && s.tokenFile == "":
		return nil, nil
	case s.user == "":
		return nil, errors.New("-user: whose password or token is it?")
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

// secret is the first line of a file.
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
