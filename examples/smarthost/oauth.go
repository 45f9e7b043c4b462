package main

import (
	"errors"
	"flag"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpclient/oauth"
)

// tokens has the settings with which the relay gets its own OAuth tokens.
type tokens struct {
	tenant, client, secretFile, cert, googleKey, host string
}

func (o *tokens) define(f *flag.FlagSet) {
	f.StringVar(&o.tenant, "oauth-tenant", "", "`ID` or domain of the Microsoft 365 tenant: the relay gets its own OAuth tokens for -user;\nneeds -oauth-client and one of -oauth-secret-file and -oauth-cert")
	f.StringVar(&o.client, "oauth-client", "", "application `ID` (client ID) of the relay in Microsoft Entra")
	f.StringVar(&o.secretFile, "oauth-secret-file", "", "`file` whose first line is the client secret of -oauth-client; mode 0600")
	f.StringVar(&o.cert, "oauth-cert", "", "PEM `file` with a certificate of -oauth-client and its RSA key; mode 0600")
	f.StringVar(&o.googleKey, "oauth-google-key", "", "JSON `file` with the key of a Google service account, which acts for -user; mode 0600")
	f.StringVar(&o.host, "oauth-host", "", "`host[:port]` of the token endpoint, for a national cloud such as login.microsoftonline.us; default:\nlogin.microsoftonline.com, or that in -oauth-google-key")
}

// set reports whether there are settings for tokens.
func (o *tokens) set() bool { return *o != tokens{} }

// auth returns what logs in as user at the upstreams, which are host[:port]. It
// reports settings that contradict each other.
func (o *tokens) auth(k *program.Kit, user string, level smtpclient.TLSLevel, upstreams ...string) smtpclient.Authenticator {
	microsoft := o.tenant != "" || o.client != "" || o.secretFile != "" || o.cert != ""
	fault := func(setting string, wrong bool, text string) {
		if wrong {
			k.Fault(setting, errors.New(text))
		}
	}
	fault("user", user == "", "is required with -oauth-tenant and -oauth-google-key: it is the mailbox")
	fault("tls", level != smtpclient.TLSDefault && level != smtpclient.TLSDomain, `must be "domain" with OAuth: a token is sent only to a host that has proved its name`)
	fault("upstream", slices.ContainsFunc(upstreams, isAddress), "must be a name with OAuth: a token is sent only to a host that has proved its name")
	fault("oauth-host", strings.ContainsAny(o.host, " /"), "is not host or host:port")
	fault("oauth-host", !microsoft && o.googleKey == "", "needs -oauth-tenant or -oauth-google-key")
	if o.googleKey != "" {
		fault("oauth-google-key", microsoft, "excludes -oauth-tenant, -oauth-client, -oauth-secret-file and -oauth-cert")
		return o.source(k, "oauth-google-key", user, o.google(k, user))
	}
	fault("oauth-tenant", o.tenant == "", "is required with -oauth-client")
	fault("oauth-client", o.client == "", "is required with -oauth-tenant")
	fault("oauth-secret-file", o.secretFile == "" && o.cert == "", "one of -oauth-secret-file and -oauth-cert is required")
	fault("oauth-secret-file", o.secretFile != "" && o.cert != "", "excludes -oauth-cert")
	return o.source(k, "oauth-tenant", user, o.microsoft(k))
}

// source returns the Authenticator, unless there are faults.
func (o *tokens) source(k *program.Kit, setting, user string, account interface{ Source() (*oauth.Source, error) }) smtpclient.Authenticator {
	if k.Failed() {
		return nil
	}
	source, err := account.Source()
	if err != nil {
		k.Fault(setting, err)
		return nil
	}
	return &oauth.Auth{Username: user, Source: source}
}

func (o *tokens) microsoft(k *program.Kit) oauth.Microsoft {
	m := oauth.Microsoft{Tenant: o.tenant, ClientID: o.client, Host: o.host}
	var err error
	if o.secretFile != "" && k.ReadFile("oauth-secret-file", o.secretFile) != nil { // a change of the file reloads
		m.Secret, err = oauth.ReadSecret(o.secretFile)
		k.Fault("oauth-secret-file", err)
	}
	if o.cert != "" && k.ReadFile("oauth-cert", o.cert) != nil {
		m.Certificate, err = oauth.ReadCertificate(o.cert)
		k.Fault("oauth-cert", err)
	}
	return m
}

func (o *tokens) google(k *program.Kit, user string) oauth.Google {
	g := oauth.Google{Subject: user, Host: o.host}
	if k.ReadFile("oauth-google-key", o.googleKey) != nil {
		var err error
		g.Key, err = oauth.ReadKey(o.googleKey)
		k.Fault("oauth-google-key", err)
	}
	return g
}

// isAddress reports whether the host of host[:port] is an IP address.
func isAddress(upstream string) bool {
	host := upstream
	if h, _, err := net.SplitHostPort(upstream); err == nil {
		host = h
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}
