package main

import (
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// submission has the settings of this gateway.
type submission struct {
	listen, listenTLS       string
	accounts, dovecot       string
	ldap                    ldapSettings
	users, domain           string
	perHour                 hourly
	hideClients             bool
	loginDelay              time.Duration
	dkimKey, dkimSelector   string
	dkimDomains             program.List
	primary                 program.List
	upstream                string
	upstreamUser, upstreamP string
	upstreamTLS             smtpclient.TLSLevel
	port                    int
}

type ldapSettings struct {
	urls                       program.List
	base, bindDN, passwordFile string
	roots, filter              string
	startTLS                   bool
}

// Define implements program.Gateway.
func (s *submission) Define(f *flag.FlagSet) {
	f.StringVar(&s.listen, "listen", ":587", "`address` to listen on, where TLS begins with STARTTLS; \"\" for none")
	f.StringVar(&s.listenTLS, "listen-tls", ":465", "`address` to listen on, where TLS begins with the first byte; \"\" for none")

	f.StringVar(&s.accounts, "accounts", "", "`file` with one line name:hash for each account, with a hash of htpasswd -B (bcrypt) or a\nSCRAM-SHA-256 verifier. One of -accounts, -ldap and -dovecot is required")
	f.StringVar(&s.dovecot, "dovecot", "", "`path` of the auth socket of a Dovecot that knows the accounts")
	f.Var(&s.ldap.urls, "ldap", "`URLs` of the LDAP servers that know the accounts, as ldaps://dc1.example.com; they are tried in this order")
	f.StringVar(&s.ldap.base, "ldap-base", "", "`DN` below which the users are, as dc=example,dc=com")
	f.StringVar(&s.ldap.bindDN, "ldap-bind-dn", "", "`DN` of the account that may search for users; default: an anonymous search")
	f.StringVar(&s.ldap.passwordFile, "ldap-password-file", "", "`file` whose first line is the password of -ldap-bind-dn")
	f.StringVar(&s.ldap.filter, "ldap-filter", "", "search `filter` for the user with the login name {name}; default: uid, sAMAccountName,\nuserPrincipalName or mail")
	f.StringVar(&s.ldap.roots, "ldap-roots", "", "PEM `file` with the authorities of the LDAP servers; default: those of the system")
	f.BoolVar(&s.ldap.startTLS, "ldap-starttls", false, "begin TLS with StartTLS on ldap:// connections")

	f.StringVar(&s.users, "users", "", "`file` with the addresses and the limits of accounts; default: each account has the address that is\nits name, and the limits of the other settings")
	f.StringVar(&s.domain, "domain", "", "`domain` of the address of an account whose name has none: with example.com, the account alice\nhas the address alice@example.com")
	f.IntVar(&s.perHour.messages, "hourly-messages", 300, "maximum `number` of messages that an account may send in an hour; 0: no limit")
	f.IntVar(&s.perHour.recipients, "hourly-recipients", 1000, "maximum `number` of recipients to which an account may send in an hour; 0: no limit")
	f.DurationVar(&s.loginDelay, "login-delay", 5*time.Second, "delay of the reply to a wrong password, a `duration` as 5s")
	f.BoolVar(&s.hideClients, "hide-clients", false, "leave the names and addresses of the users' devices out of the Received field")

	f.Var(&s.primary, "primary-domains", "`domains` in which a sender's address is replaced by the primary address that -ldap has; default: none")
	f.StringVar(&s.dkimKey, "dkim-key", "", "PEM `file` with the RSA or Ed25519 key of the DKIM signatures, mode 0600; default: mail is not signed")
	f.StringVar(&s.dkimSelector, "dkim-selector", "", "`selector` of -dkim-key")
	f.Var(&s.dkimDomains, "dkim-domains", "`domains` that -dkim-key signs for, with their subdomains")

	f.StringVar(&s.upstream, "upstream", "", "`host[:port]` of a smart host that takes all mail; default: the MX hosts of each domain. On port 465\nTLS begins with the first byte")
	f.StringVar(&s.upstreamUser, "upstream-user", "", "`account` of this relay at -upstream")
	f.StringVar(&s.upstreamP, "upstream-password-file", "", "`file` whose first line is the password of -upstream-user")
	f.TextVar(&s.upstreamTLS, "upstream-tls", smtpclient.TLSDefault, "minimum TLS `level` to -upstream: none, opportunistic, encrypt, certificate, domain, dane;\n\"default\" is domain with -upstream-user and opportunistic without it")
	f.IntVar(&s.port, "port", 25, "TCP `port` of the MX hosts; another value than 25 is for tests")
}

func (s *submission) check(k *program.Kit) {
	if s.listen == "" && s.listenTLS == "" {
		k.Fault("listen", errors.New("one of -listen and -listen-tls is required"))
	}
	if k.Cert == "" || k.Key == "" {
		k.Fault("cert", errors.New("-cert and -key are required: passwords are sent only over TLS"))
	}
	s.checkSource(k)
	for name, n := range map[string]int{"hourly-messages": s.perHour.messages, "hourly-recipients": s.perHour.recipients} {
		if n < 0 {
			k.Fault(name, fmt.Errorf("%d is negative", n))
		}
	}
	if s.loginDelay <= 0 || s.loginDelay > time.Minute {
		k.Fault("login-delay", fmt.Errorf("%v is not from 1ns to 1m", s.loginDelay))
	}
	if strings.ContainsAny(s.domain, "@ ,") {
		k.Fault("domain", fmt.Errorf("%q is not a domain", s.domain))
	}
	if s.dkimKey == "" && (s.dkimSelector != "" || len(s.dkimDomains) > 0) {
		k.Fault("dkim-key", errors.New("is required with -dkim-selector and -dkim-domains"))
	}
	if (s.upstreamUser == "") != (s.upstreamP == "") {
		k.Fault("upstream-user", errors.New("-upstream-user and -upstream-password-file are required together"))
	}
	if s.upstream == "" && s.upstreamUser != "" {
		k.Fault("upstream", errors.New("is required with -upstream-user"))
	}
	if s.upstream != "" {
		k.Host("upstream", routing.SmartHost{Host: s.upstream})
	}
}

// checkSource checks that exactly one part knows the accounts.
func (s *submission) checkSource(k *program.Kit) {
	n := 0
	for _, set := range []bool{s.accounts != "", len(s.ldap.urls) > 0, s.dovecot != ""} {
		if set {
			n++
		}
	}
	if n != 1 {
		k.Fault("accounts", errors.New("exactly one of -accounts, -ldap and -dovecot is required"))
	}
	if len(s.ldap.urls) == 0 && (s.ldap.base != "" || s.ldap.bindDN != "" || s.ldap.passwordFile != "" || s.ldap.filter != "" || s.ldap.roots != "" || s.ldap.startTLS) {
		k.Fault("ldap", errors.New("is required with the other settings of LDAP"))
	}
}
