package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"strconv"
	"time"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// sendInternet is the send connector for all domains, by MX.
type sendInternet struct {
	cost, port int
	tls        smtpclient.TLSLevel
}

func (c *sendInternet) define(f *flag.FlagSet) {
	const section = "send.internet."
	f.IntVar(&c.cost, section+"cost", 10, "`cost` of the connector to the internet, 1 to 100")
	f.IntVar(&c.port, section+"port", 25, "`port` of the MX hosts; another value than 25 is for tests")
	f.TextVar(&c.tls, section+"tls", smtpclient.TLSDefault, "minimum TLS `level` to the internet: none, opportunistic, encrypt, certificate, domain, dane;\n\"default\" is opportunistic")
}

func (c *sendInternet) connector(k *program.Kit) routing.Connector {
	if c.cost < 1 || c.cost > 100 {
		k.Fault("send.internet.cost", fmt.Errorf("%d is not 1 to 100", c.cost))
	}
	if c.port < 1 || c.port > 65535 {
		k.Fault("send.internet.port", fmt.Errorf("%d is not 1 to 65535", c.port))
	}
	return routing.Connector{
		Name: "internet", Spaces: []string{fmt.Sprintf("*;%d", c.cost)}, Port: c.port,
		TLS: &smtpclient.TLSPolicy{Level: c.tls},
		// Only mail of the organization and reports go to the internet. This
		// holds even if the policy for the internet is weakened by mistake.
		Scope: routing.Scope{ReceiveConnectors: []string{"organization", "dsn"}},
	}
}

// sendOrganization is the send connector for the accepted domains.
type sendOrganization struct {
	hosts               program.Records
	tls                 smtpclient.TLSLevel
	roots               string
	user, password      string
	oldTLS, oldTLSLogin bool
	expire, delayNotice time.Duration
}

func (c *sendOrganization) define(f *flag.FlagSet) {
	const section = "send.organization."
	c.hosts = program.Records{Fields: []string{"host", "weight", "preference", "mx"}}
	f.Var(&c.hosts, section+"smart-hosts", "`host` of the organization that takes its mail, as 10.0.0.5, mail.example.com:2525 or\n"+
		"\"10.0.0.5; weight=2; preference=1\"; with mx=true its MX hosts. Repeat it for more hosts.\nMail is balanced among those of equal preference "+
		"by their weights (1 to 1000,\ndefault 1). Hosts with a higher preference number are used while these are down; required")
	f.TextVar(&c.tls, section+"tls", smtpclient.TLSDefault, "minimum TLS `level` to the organization: none, opportunistic, encrypt, certificate, domain, dane;\n\"default\" is domain with send.organization.user and opportunistic without it")
	f.StringVar(&c.roots, section+"roots", "", "PEM `file` with the authorities of the certificates of the organization's servers; default: those of\nthe system. It is read again when it changes")
	f.StringVar(&c.user, section+"user", "", "`account` of this relay at the organization's servers; needs send.organization.password-file")
	f.StringVar(&c.password, section+"password-file", "", "`file` whose first line is the password of send.organization.user; mode 0600. It is read again when\nit changes")
	f.DurationVar(&c.expire, section+"expire", 0, "queue lifetime of mail for the organization, a `duration` as 120h; default: that of expire")
	f.DurationVar(&c.delayNotice, section+"delay-notice", 0, "`duration` after which the sender of mail for the organization gets a delay notice; default: that of\ndelay-notice, -1s for no notice")
	f.BoolVar(&c.oldTLS, section+"old-tls", false, "accept TLS 1.0, TLS 1.1 and RSA key exchange also with tls: encrypt, certificate and domain, for\nservers that have nothing better, as Exchange 2003. (opportunistic always accepts them.)")
	f.BoolVar(&c.oldTLSLogin, section+"old-tls-login", false, "log in also over the TLS of old-tls")
}

func (c *sendOrganization) connector(k *program.Kit) routing.Connector {
	const section = "send.organization."
	if c.oldTLSLogin && !c.oldTLS {
		k.Fault(section+"old-tls-login", errors.New("needs old-tls"))
	}
	if c.expire < 0 {
		k.Fault(section+"expire", errors.New("is negative"))
	}
	t := k.Transport("organization")
	// Weights distribute sessions, so a session must be short. This is the default
	// of Exchange's SmtpMaxMessagesPerConnection.
	t.MaxMessages = 20
	t.AllowOldTLSAuth = c.oldTLSLogin
	if roots := k.Roots(section+"roots", c.roots); roots != nil {
		t.TLSConfig = &tls.Config{RootCAs: roots}
	}
	return routing.Connector{
		Name: "organization", Spaces: []string{"--"}, SmartHosts: c.smartHosts(k),
		Exclusive: true, // while its servers are down, the mail waits
		Transport: routing.SMTP(t), Auth: c.credentials(k),
		TLS:    &smtpclient.TLSPolicy{Level: c.level(), AllowOld: c.oldTLS},
		Expire: c.expire, Notice: c.delayNotice,
	}
}

// level returns the TLS level. Only the organization's own servers get the password.
func (c *sendOrganization) level() smtpclient.TLSLevel {
	if c.tls == smtpclient.TLSDefault && c.user != "" {
		return smtpclient.TLSDomain
	}
	return c.tls
}

// smartHosts checks and returns the smart hosts.
func (c *sendOrganization) smartHosts(k *program.Kit) (all []routing.SmartHost) {
	const section = "send.organization.smart-hosts"
	for i, r := range c.hosts.All {
		path := fmt.Sprintf("%s[%d]", section, i)
		h := routing.SmartHost{Host: r.Get("host"), Weight: number(k, path+".weight", r.Get("weight")), Preference: number(k, path+".preference", r.Get("preference"))}
		if mx := r.Get("mx"); mx != "" {
			var err error
			if h.MX, err = strconv.ParseBool(mx); err != nil {
				k.Fault(path+".mx", fmt.Errorf("%q is not true or false", mx))
			}
		}
		k.Host(path, h)
		all = append(all, h)
	}
	k.Require(section, len(all) > 0)
	return all
}

// number parses a number; 0 if text is empty.
func number(k *program.Kit, setting, text string) int {
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		k.Fault(setting, fmt.Errorf("%q is not a number", text))
	}
	return n
}

// credentials returns what the edge logs in with at the organization's servers
// (basic authentication), or nil if it is externally secured there.
func (c *sendOrganization) credentials(k *program.Kit) smtpclient.Authenticator {
	const section = "send.organization."
	switch {
	case c.user == "" && c.password == "":
		return nil
	case c.password == "":
		k.Fault(section+"user", errors.New("user and password-file must be set together"))
		return nil
	case c.user == "":
		k.Fault(section+"password-file", errors.New("user and password-file must be set together"))
		return nil
	case c.tls == smtpclient.TLSNone:
		k.Fault(section+"tls", errors.New("a password is sent only over TLS"))
	}
	return smtpclient.PasswordAuth(c.user, k.Secret(section+"password-file", c.password))
}
