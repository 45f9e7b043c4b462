package main

import (
	"errors"
	"flag"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

const (
	internetListen     = "receive.internet.listen"
	organizationListen = "receive.organization.listen"
)

// receiveInternet is the receive connector for all clients.
type receiveInternet struct{ listen string }

func (c *receiveInternet) define(f *flag.FlagSet) {
	f.StringVar(&c.listen, internetListen, ":25", "`address` to listen on for all clients, as :25 or 192.0.2.25:25")
}

// receiveOrganization is the receive connector for the organization's servers.
type receiveOrganization struct {
	listen             string
	secured            program.Networks
	accounts           string
	oldTLS, oldTLSAuth bool
}

func (c *receiveOrganization) define(f *flag.FlagSet) {
	const section = "receive.organization."
	f.StringVar(&c.listen, organizationListen, "", "`address` to listen on for the organization's servers, as 10.0.0.1:25; required")
	f.Var(&c.secured, section+"externally-secured", "`networks` of the organization's servers that are trusted by their address. Something else must\nsecure the connection to them: a private line, IPsec")
	f.StringVar(&c.accounts, section+"accounts", "", "`file` of the accounts of the organization's servers, which log in over TLS. Its lines are as from\nhtpasswd -B; the names do not depend on case. It is read again when it changes")
	f.BoolVar(&c.oldTLS, section+"old-tls", false, "allow TLS 1.0, TLS 1.1 and RSA key exchange, for servers that have nothing better, as Exchange 2003;\nneeds -cert, for RSA key exchange with an RSA key")
	f.BoolVar(&c.oldTLSAuth, section+"old-tls-login", false, "allow logins over the TLS of old-tls")
}

// server returns the server.
func (c *receiveOrganization) server(k *program.Kit) *smtpserver.Server {
	srv := k.Server("organization")
	srv.InsecureOldTLS, srv.InsecureOldTLSAuth = c.oldTLS, c.oldTLSAuth
	if c.oldTLS && k.TLSConfig() == nil {
		k.Fault("receive.organization.old-tls", errors.New("needs cert and key"))
	}
	if c.oldTLSAuth && !c.oldTLS {
		k.Fault("receive.organization.old-tls-login", errors.New("needs old-tls"))
	}
	return srv
}

// grants returns the rights of the organization's servers: hosts that are
// externally secured, and accounts, which require TLS. Both have the rights of
// Exchange servers.
func (c *receiveOrganization) grants(k *program.Kit, srv *smtpserver.Server) (all []policy.Grant) {
	const section = "receive.organization."
	k.Require(organizationListen, c.listen != "")
	if len(c.secured) == 0 && c.accounts == "" {
		k.Fault(section+"externally-secured", errors.New("is required, unless accounts is set"))
	}
	if len(c.secured) > 0 {
		all = append(all, policy.Grant{To: policy.Clients{Networks: c.secured}, Rights: policy.ExternallySecured})
		k.Fault(section+"externally-secured", (&policy.Relay{Grants: all}).Validate()) // two networks may cover all addresses
	}
	if c.accounts == "" {
		return all
	}
	a := c.readAccounts(k, section+"accounts")
	srv.Auth = smtpserver.PasswordAuth(a.check)
	return append(all, policy.Grant{To: policy.Clients{Identities: a.names()}, Rights: policy.ExchangeServers})
}

// readAccounts reads the file of the accounts.
func (c *receiveOrganization) readAccounts(k *program.Kit, setting string) accounts {
	if k.TLSConfig() == nil {
		k.Fault(setting, errors.New("passwords are accepted only over TLS: needs cert and key"))
	}
	text := k.ReadFile(setting, c.accounts)
	if text == nil {
		return nil
	}
	a, err := parseAccounts(c.accounts, string(text))
	k.Fault(setting, err)
	return a
}
