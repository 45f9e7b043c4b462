package gssapi

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-sasl"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

const mechanism = "GSSAPI"

// Auth is an smtpserver.Authenticator that offers GSSAPI over TLS. Combine it
// with others by smtpserver.Auths. Auth is safe for concurrent use. Its fields
// must not change after first use.
//
// Only AES keys are accepted (RFC 3962, RFC 8009), never RC4 or DES (RFC 8429).
// The clocks of clients and server may differ by five minutes. A login that is
// repeated within this time is refused.
type Auth struct {
	// KeytabFile is the keytab with the keys of the server. It is read for each
	// login, so a new keytab needs no restart. If it cannot be read, the reply is
	// 454 4.7.0. Required.
	KeytabFile string
	// Service is the principal of the server without its realm,
	// "smtp/mail.example.com". A ticket for another principal is refused, also if
	// the keytab has its key. Upper and lower case are the same. Default: every
	// principal of the keytab that begins with "smtp/".
	Service string
	// Identify returns the identity of a client. Default: the principal with its
	// realm, "alice@EXAMPLE.COM", if it is of the realm of the server and asks to
	// act as itself. An error refuses the login.
	Identify func(ctx context.Context, s *smtpserver.Session, p Principal) (identity string, err error)

	replays replays
}

// A Principal is a client whose ticket is valid.
type Principal struct {
	// Name is the name without the realm, "alice" or "host/printer.example.com".
	Name string
	// Realm is the realm of the client, which the KDC has confirmed. A realm that
	// the server's realm trusts may be another.
	Realm string
	// ServerRealm is the realm of the server.
	ServerRealm string
	// AuthzID is the authorization identity, who the client asks to act as. It is
	// often empty.
	AuthzID string
}

// String returns "name@REALM".
func (p Principal) String() string { return p.Name + "@" + p.Realm }

// Own returns an error if p is of another realm than the server, or asks to act
// as someone else. It is the check of the default Identify.
func (p Principal) Own() error {
	switch {
	case p.Realm != p.ServerRealm:
		return fmt.Errorf("GSSAPI: %s is not of realm %s", p, p.ServerRealm)
	case p.AuthzID != "" && p.AuthzID != p.Name && !strings.EqualFold(p.AuthzID, p.String()):
		return fmt.Errorf("GSSAPI: %s asks to act as %q", p, p.AuthzID)
	}
	return nil
}

// Validate returns an error if a setting can never work. It reads the keytab.
func (a *Auth) Validate() error {
	if a.KeytabFile == "" {
		return errors.New("gssapi: KeytabFile is not set")
	}
	if a.Service != "" && strings.Count(a.Service, "/") != 1 {
		return fmt.Errorf("gssapi: Service %q is not of the form smtp/HOST", a.Service)
	}
	kt, err := a.keytab()
	if err != nil {
		return err
	}
	for i := range kt.Entries {
		if a.accepts(kt.Entries[i].Principal.Components) {
			return nil
		}
	}
	return fmt.Errorf("gssapi: %s has no key for %s", a.KeytabFile, a.serviceName())
}

// Mechanisms implements smtpserver.Authenticator.
func (a *Auth) Mechanisms(s *smtpserver.Session) []string {
	if s.TLS() == nil {
		return nil
	}
	return []string{mechanism}
}

// Start implements smtpserver.Authenticator.
func (a *Auth) Start(ctx context.Context, s *smtpserver.Session, name string) (sasl.Server, error) {
	if name != mechanism || s.TLS() == nil {
		return nil, fmt.Errorf("mechanism %q is not offered", name)
	}
	x := &exchange{auth: a, addr: s.RemoteAddr()}
	x.identified = func(p Principal) error {
		identify := a.Identify
		if identify == nil {
			identify = own
		}
		identity, err := identify(ctx, s, p)
		if err == nil {
			s.SetIdentity(identity)
		}
		return err
	}
	return x, nil
}

func own(_ context.Context, _ *smtpserver.Session, p Principal) (string, error) {
	return p.String(), p.Own()
}
