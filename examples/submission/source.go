package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy/filter/rewrite"
	"github.com/bridgehead-mail/bridgehead/policy/ldap"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A source knows the accounts.
type source struct {
	auth smtpserver.Authenticator
	// named is called after a login. It gives the session the one name of an account
	// that has several login names. May be nil.
	named func(context.Context, *smtpserver.Session) error
	// owns reports which addresses an account has. May be nil.
	owns func(ctx context.Context, account, address string) (bool, error)
	// primary knows the primary addresses of users. May be nil.
	primary rewrite.PrimarySource
	// names reports whether an account exists. nil if only the source knows that.
	names func(account string) bool
	// warnings are what is probably wrong.
	warnings []string
}

// errAuthDown is the reply if a password cannot be checked (RFC 4954, 4.7).
var errAuthDown = smtpserver.Reject(454, "4.7.0", "The login cannot be checked at present, try again later")

// source returns the source of the settings.
func (s *submission) source(k *program.Kit, r *program.Rules) source {
	d := s.directory(k, r)
	switch {
	case s.accounts != "":
		return s.file(k)
	case d != nil:
		return s.accountsOf(k, d)
	}
	from := source{auth: &dovecot{socket: s.dovecot, log: k.Logger}}
	if info, err := os.Stat(s.dovecot); err != nil {
		from.warnings = []string{"dovecot: no user can log in now: " + err.Error()}
	} else if info.Mode().Type() != os.ModeSocket {
		from.warnings = []string{"dovecot: " + s.dovecot + " is not a socket"}
	}
	return from
}

// file reads the file of -accounts.
func (s *submission) file(k *program.Kit) source {
	text := k.ReadFile("accounts", s.accounts)
	if text == nil {
		return source{}
	}
	all, err := parseAccounts(string(text))
	if err != nil {
		k.Fault("accounts", fmt.Errorf("%s: %w", s.accounts, err))
		return source{}
	}
	return source{auth: all.authenticator(), names: func(account string) bool { _, has := all.of[account]; return has }}
}

// directory returns the client that the rules use; nil without LDAP servers.
func (s *submission) directory(k *program.Kit, r *program.Rules) *ldap.Directory {
	l, settings := &s.ldap, ""
	var d *ldap.Directory
	if len(l.urls) > 0 {
		d = l.servers(k)
		settings = fmt.Sprintf("%q %q %q %q %v %s", d.URLs, d.BaseDN, d.BindDN, d.Password, d.StartTLS, k.ReadFile("ldap-roots", l.roots))
	}
	return program.Reuse(k, r, "ldap", settings, d)
}

// servers returns the client of the LDAP servers.
func (l *ldapSettings) servers(k *program.Kit) *ldap.Directory {
	d := &ldap.Directory{
		URLs: l.urls, BaseDN: l.base, BindDN: l.bindDN, Password: k.Secret("ldap-password-file", l.passwordFile),
		StartTLS: l.startTLS, MaxConnections: 8,
	}
	if roots := k.Roots("ldap-roots", l.roots); roots != nil {
		d.TLSConfig = &tls.Config{RootCAs: roots}
	}
	k.Require("ldap-base", l.base != "")
	return d
}

// accountsOf returns the accounts of the LDAP servers.
func (s *submission) accountsOf(k *program.Kit, d *ldap.Directory) source {
	accounts := &ldap.Accounts{Directory: d, Filter: s.ldap.filter}
	k.Fault("ldap", accounts.Validate())
	return source{
		auth: smtpserver.PasswordAuth(func(ctx context.Context, session *smtpserver.Session, name, password string) error {
			account, err := accounts.Login(ctx, name, password)
			switch {
			case errors.Is(err, ldap.ErrLogin):
				return err
			case err != nil:
				return fmt.Errorf("%w: %w", errAuthDown, err)
			}
			session.SetValue(nameKey{}, account.Name)
			return nil
		}),
		named: func(_ context.Context, session *smtpserver.Session) error {
			if name, ok := session.Value(nameKey{}).(string); ok {
				session.SetIdentity(name)
			}
			return nil
		},
		owns:    accounts.Owns,
		primary: &ldap.Primary{Directory: d},
	}
}

// nameKey is the key of the name of the account that a session has logged in to.
type nameKey struct{}
