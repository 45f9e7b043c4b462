package gssapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/emersion/go-sasl"
)

const mechanism = "GSSAPI"

// Auth is a smtpclient.Authenticator that logs in with Kerberos. It gets a
// ticket for each host from the KDC of its realm, and uses it for five minutes.
// Auth is safe for concurrent use. Its fields must not change after first use.
//
// Auth works over TLS only, also if Transport.AllowInsecureAuth is set. Only
// AES keys are used (RFC 3962, RFC 8009), never RC4 or DES (RFC 8429).
type Auth struct {
	// Principal is the account, "relay@EXAMPLE.COM" or "smtp/relay.example.com".
	// Default for the realm: default_realm of Config. Required.
	Principal string
	// KeytabFile is the keytab with the keys of Principal. It is read for each
	// ticket, so a new keytab needs no restart. KeytabFile or Password is
	// required.
	KeytabFile string
	// Password is the password of Principal.
	Password string
	// Config is the name of the configuration file of Kerberos. Default
	// /etc/krb5.conf. It is read for each ticket. An include directive has no
	// effect.
	Config string
	// Service is the principal of the host, for a host whose name in Kerberos
	// differs from its name in DNS. Default "smtp/" and the name of the host in
	// lower case.
	Service string
	// AuthzID is the authorization identity: the user to act as, if the host
	// permits it. Default: none, which means the user of Principal.
	AuthzID string

	mu      sync.Mutex // guards tickets
	tickets map[string]*request
	// request gets a ticket. Default: requestTicket. Tests replace it.
	request func(service string) (*ticket, error)
}

// Identity implements smtpclient.Authenticator.
func (a *Auth) Identity() string { return a.Principal }

// Validate returns an error if a setting can never work. Transport.Validate calls
// it. It does not read the files.
func (a *Auth) Validate() error {
	switch {
	case a.Principal == "":
		return errors.New("is gssapi.Auth without Principal")
	case a.KeytabFile == "" && a.Password == "":
		return errors.New("is gssapi.Auth without KeytabFile and Password")
	case a.KeytabFile != "" && a.Password != "":
		return errors.New("is gssapi.Auth with KeytabFile and Password: only one can be used")
	case a.Service != "" && !strings.Contains(a.Service, "/"):
		return fmt.Errorf("is gssapi.Auth with Service %q, which is not of the form smtp/HOST", a.Service)
	}
	return nil
}

// Start implements smtpclient.Authenticator. It waits for a ticket for as long as
// ctx lives. An error of the KDC makes the host Unreachable.
func (a *Auth) Start(ctx context.Context, host string, mechanisms []string, state *tls.ConnectionState) (sasl.Client, error) {
	if err := a.Validate(); err != nil {
		return nil, fmt.Errorf("the setting %w", err)
	}
	if !slices.Contains(mechanisms, mechanism) {
		return nil, nil
	}
	if state == nil {
		return nil, errors.New("GSSAPI needs TLS, but the session is not encrypted")
	}
	service, err := a.service(host)
	if err != nil {
		return nil, err
	}
	t, err := a.ticket(ctx, service)
	if err != nil {
		return nil, fmt.Errorf("ticket for %s: %w", service, err)
	}
	return &exchange{ticket: t, authzid: a.AuthzID}, nil
}

// service returns the principal of a host.
func (a *Auth) service(host string) (string, error) {
	if a.Service != "" {
		return a.Service, nil
	}
	if _, err := netip.ParseAddr(host); host == "" || err == nil {
		return "", fmt.Errorf("GSSAPI needs the name of the host, but it has only the address %q: set Service", host)
	}
	return "smtp/" + strings.ToLower(strings.TrimSuffix(host, ".")), nil
}
