package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy/gateway/console"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// settings are the values of the flags.
type settings struct {
	console                                                      console.Flags
	provider, method, user, passwordFile, roots, domains, server string
	schedule, listen, hostname, spool, dns                       string
	every                                                        time.Duration
}

func (s *settings) check() error {
	var errs []error
	for _, f := range []struct{ flag, value string }{
		{"-provider", s.provider}, {"-user", s.user}, {"-domains", s.domains}, {"-server", s.server}, {"-spool", s.spool},
	} {
		if f.value == "" {
			errs = append(errs, errors.New(f.flag+": is required"))
		}
	}
	if s.every < time.Second {
		errs = append(errs, fmt.Errorf("-every: %v is less than one second", s.every))
	}
	return errors.Join(errs...)
}

func (s *settings) fetchMethod() (routing.FetchMethod, error) {
	switch {
	case s.method == "atrn":
		return routing.FetchATRN, nil
	case s.method != "etrn":
		return 0, fmt.Errorf("-method: %q is neither atrn nor etrn", s.method)
	case s.listen == "":
		return 0, errors.New("-listen: is required with etrn")
	}
	return routing.FetchETRN, nil
}

// password reads the first line of the file of -password-file.
func (s *settings) password() (string, error) {
	b, err := os.ReadFile(s.passwordFile)
	if err != nil {
		return "", fmt.Errorf("-password-file: %w", err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	if line = strings.TrimRight(line, "\r"); line == "" {
		return "", fmt.Errorf("-password-file: the first line of %s is empty", s.passwordFile)
	}
	return line, nil
}

// tlsConfig returns a configuration that trusts the authorities of -roots, or
// nil for those of the system.
func (s *settings) tlsConfig() (*tls.Config, error) {
	if s.roots == "" {
		return nil, nil
	}
	b, err := os.ReadFile(s.roots)
	if err != nil {
		return nil, fmt.Errorf("-roots: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("-roots: no certificate in %s", s.roots)
	}
	return &tls.Config{RootCAs: pool}, nil
}

// resolver returns a resolver that uses the servers of -dns.
func (s *settings) resolver() routing.Resolver {
	return &routing.DNSResolver{Servers: strings.FieldsFunc(s.dns, func(r rune) bool { return r == ',' })}
}
