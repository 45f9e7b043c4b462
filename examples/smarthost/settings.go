package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// settings are the flags.
type settings struct {
	listen, allow, upstream, spool, hostname, tls string
	user, passwordFile, tokenFile, logs           string
}

// networks are those of -allow; a single address is a network of one.
func (s *settings) networks() (ps []netip.Prefix, err error) {
	if s.allow == "" {
		return nil, errors.New("-allow: which machines may relay?")
	}
	for f := range strings.SplitSeq(s.allow, ",") {
		f = strings.TrimSpace(f)
		p, err := netip.ParsePrefix(f)
		if a, e := netip.ParseAddr(f); e == nil {
			p, err = a.Prefix(a.BitLen())
		}
		if err != nil {
			return nil, fmt.Errorf("-allow: %q is no network (10.1.0.0/16) nor address", f)
		}
		ps = append(ps, p)
	}
	return ps, nil
}

// host is -upstream as a smart host: an address stands in brackets.
func (s *settings) host() (string, error) {
	host, port, err := net.SplitHostPort(s.upstream)
	if err != nil || host == "" || port == "" {
		return "", fmt.Errorf("-upstream: %q is not HOST:PORT", s.upstream)
	}
	if _, err := netip.ParseAddr(host); err == nil {
		host = "[" + host + "]"
	}
	return host + ":" + port, nil
}

// implicitTLS: on port 465 TLS comes without STARTTLS (RFC 8314, 3.3).
func (s *settings) implicitTLS() bool { return strings.HasSuffix(s.upstream, ":465") }

func (s *settings) level() (smtpclient.TLSLevel, error) {
	if s.tls == "" {
		return smtpclient.TLSDefault, nil
	}
	for _, l := range []smtpclient.TLSLevel{smtpclient.TLSNone, smtpclient.TLSOpportunistic, smtpclient.TLSEncrypt,
		smtpclient.TLSCertificate, smtpclient.TLSDomain} {
		if l.String() == s.tls {
			return l, nil
		}
	}
	return 0, fmt.Errorf("-tls: no such level: %q", s.tls)
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
