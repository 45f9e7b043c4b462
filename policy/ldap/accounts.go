package ldap

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/bridgehead-mail/bridgehead/policy"
)

// DefaultAccountFilter finds the entry of a user by the login names that OpenLDAP and
// Active Directory have, and by the address.
const DefaultAccountFilter = "(|(uid={name})(sAMAccountName={name})(userPrincipalName={name})(mail={name}))"

// ErrLogin is the error of Login for a wrong password, and for an account that does not
// exist or may not log in.
var ErrLogin = errors.New("ldap: the directory refuses the login")

// Accounts checks the passwords of users by a bind as the user, and knows which
// addresses a user has. It uses the servers, BaseDN, TLS and the login of Directory; the
// login must be able to read the attributes.
//
//	accounts := &ldap.Accounts{Directory: users}
//	srv.Auth = smtpserver.PasswordAuth(func(ctx context.Context, _ *smtpserver.Session, name, password string) error {
//		_, err := accounts.Login(ctx, name, password)
//		return err
//	})
//	gate.SendAs = &policy.SendAs{Owns: accounts.Owns}
//
// It is safe for concurrent use; its fields must not change after the first use.
type Accounts struct {
	Directory *Directory
	// Filter is the search filter for the entry of a login name (RFC 4515).
	// {name} is replaced by the name, escaped. It must find one entry.
	// Default: DefaultAccountFilter.
	Filter string
	// Name are attributes; the first one that an entry has is the name of the
	// account. The Filter must find the entry by this name. Default: uid,
	// sAMAccountName.
	Name []string
	// Addresses are the attributes with the addresses of a user. A value may begin
	// with "smtp:", as in Active Directory; values with another scheme, such as
	// "x500:", are not addresses. Default: mail, proxyAddresses.
	Addresses []string
}

// An Account is the entry of a user.
type Account struct {
	// Name is the name of the account, in lower case. It is the same for each of
	// the names with which the user can log in.
	Name string
	// DN is the distinguished name of the entry.
	DN string
	// Addresses are the addresses of the user.
	Addresses []string
}

// Validate returns an error if a setting is invalid. It does not connect to a server.
func (a *Accounts) Validate() error {
	if a.Directory == nil {
		return errors.New("ldap: Accounts.Directory is not set")
	}
	if err := a.Directory.Validate(); err != nil {
		return err
	}
	for _, u := range a.Directory.URLs {
		if strings.HasPrefix(u, "ldap:") && !a.Directory.StartTLS && !a.Directory.AllowPlainPassword {
			return fmt.Errorf("ldap: the passwords of users would be sent to %s without TLS: use ldaps, StartTLS or AllowPlainPassword", u)
		}
	}
	if !strings.Contains(a.filter(), "{name}") {
		return fmt.Errorf("ldap: filter %q: has no {name}, so every name would find the same entry", a.Filter)
	}
	if _, err := ldap.CompileFilter(a.filterOf("alice")); err != nil {
		return fmt.Errorf("ldap: filter %q: %w", a.Filter, err)
	}
	return nil
}

func (a *Accounts) filter() string { return cmp.Or(a.Filter, DefaultAccountFilter) }

func (a *Accounts) filterOf(name string) string {
	return strings.ReplaceAll(a.filter(), "{name}", ldap.EscapeFilter(name))
}

func (a *Accounts) names() []string     { return or(a.Name, []string{"uid", "sAMAccountName"}) }
func (a *Accounts) addresses() []string { return or(a.Addresses, []string{"mail", "proxyAddresses"}) }

// Login checks a password. The error wraps ErrLogin if the directory refuses the login.
// With any other error, for example because no server answers or because several entries
// have the name (policy.ErrAmbiguous), the password could not be checked.
func (a *Accounts) Login(ctx context.Context, name, password string) (*Account, error) {
	// A bind with an empty password succeeds without a check (RFC 4513, 5.1.2).
	if name == "" || password == "" {
		return nil, fmt.Errorf("%w: the name or the password is empty", ErrLogin)
	}
	account, err := a.Account(ctx, name)
	switch {
	case err != nil:
		return nil, err
	case account == nil:
		return nil, fmt.Errorf("%w: no such account", ErrLogin)
	case account.DN == "":
		return nil, fmt.Errorf("%w: the entry has no name", ErrLogin) // an anonymous bind
	}
	err = a.Directory.limited(ctx, func(ctx context.Context) error { return a.Directory.bindAs(ctx, account.DN, password) })
	if err != nil {
		return nil, err
	}
	return account, nil
}

// bindAs logs in at the first server that answers, on a connection of its own.
func (d *Directory) bindAs(ctx context.Context, dn, password string) error {
	var errs []error
	for i, u := range d.URLs {
		c, err := d.connect(ctx, u, len(d.URLs)-i)
		if err == nil {
			err = c.Bind(dn, password)
			c.Close()
		}
		switch {
		case err == nil:
			return nil
		case ldap.IsErrorAnyOf(err, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultInappropriateAuthentication,
			ldap.LDAPResultUnwillingToPerform, ldap.LDAPResultInsufficientAccessRights, ldap.LDAPResultConstraintViolation, ldap.LDAPResultNoSuchObject):
			return fmt.Errorf("%w: %s", ErrLogin, resultOf(err))
		}
		errs = append(errs, fmt.Errorf("ldap: %s: %w", u, err))
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// resultOf returns the name of the result code of an error.
func resultOf(err error) string {
	var e *ldap.Error
	if errors.As(err, &e) {
		return ldap.LDAPResultCodeMap[e.ResultCode]
	}
	return "unknown result"
}

// Account returns the account with a login name, or nil if there is none. The error wraps
// policy.ErrAmbiguous if several entries have the name.
func (a *Accounts) Account(ctx context.Context, name string) (found *Account, err error) {
	if a.Directory == nil {
		return nil, errors.New("ldap: Accounts.Directory is not set")
	}
	err = a.Directory.with(ctx, func(ctx context.Context, c *ldap.Conn) error {
		const two = 2 // enough to see that the name is ambiguous
		attributes := append(append([]string{}, a.names()...), a.addresses()...)
		r, err := a.Directory.find(ctx, c, a.Directory.BaseDN, ldap.ScopeWholeSubtree, two, a.filterOf(name), attributes)
		switch {
		case ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded):
			return fmt.Errorf("ldap: %w", policy.ErrAmbiguous)
		case err != nil:
			return err
		case len(r.Entries) > 1:
			return fmt.Errorf("ldap: %w", policy.ErrAmbiguous)
		case len(r.Entries) == 0:
			return a.Directory.referral(r)
		}
		found = a.account(r.Entries[0])
		return nil
	})
	if err == nil && found != nil && found.Name == "" {
		return nil, fmt.Errorf("ldap: the entry %s has none of the attributes %s", found.DN, strings.Join(a.names(), ", "))
	}
	return found, err
}

func (a *Accounts) account(e *ldap.Entry) *Account {
	x := &Account{DN: e.DN}
	for _, attribute := range a.names() {
		if x.Name == "" {
			x.Name = strings.ToLower(e.GetEqualFoldAttributeValue(attribute))
		}
	}
	for _, attribute := range a.addresses() {
		for _, v := range e.GetEqualFoldAttributeValues(attribute) {
			scheme, rest, found := strings.Cut(v, ":")
			switch {
			case found && strings.EqualFold(scheme, "smtp"):
				v = rest
			case found && !strings.Contains(scheme, "@") && !strings.HasPrefix(v, `"`):
				continue // an address of another kind
			}
			if !strings.HasPrefix(v, "@") { // SendersOf would accept all senders of the domain
				x.Addresses = append(x.Addresses, v)
			}
		}
	}
	return x
}

// Owns reports whether the account has the address. It is a function for
// policy.SendAs.Owns. The directory is asked each time, so a change has its effect on the
// next message.
func (a *Accounts) Owns(ctx context.Context, name, sender string) (bool, error) {
	account, err := a.Account(ctx, name)
	if err != nil || account == nil {
		return false, err
	}
	return policy.SendersOf(map[string][]string{"account": account.Addresses})(ctx, "account", sender)
}
