package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy/ldap"
)

// ldapSettings are the settings of the directory.
type ldapSettings struct {
	urls                       program.List
	base, bindDN, passwordFile string
	roots, filter              string
	startTLS, limits           bool
	route, owner               string
	ours, theirs               program.List
}

func (l *ldapSettings) define(f *flag.FlagSet) {
	f.Var(&l.urls, "ldap", "`URLs` of the LDAP servers that know mailboxes, groups and contacts, as ldaps://dc1.example.com; they are\ntried in this order")
	f.StringVar(&l.base, "ldap-base", "", "`DN` below which the entries are, as dc=example,dc=com; required with -ldap")
	f.StringVar(&l.bindDN, "ldap-bind-dn", "", "`DN` of the account that may search; default: an anonymous search")
	f.StringVar(&l.passwordFile, "ldap-password-file", "", "`file` whose first line is the password of -ldap-bind-dn")
	f.StringVar(&l.roots, "ldap-roots", "", "PEM `file` of the authorities of the LDAP servers' certificates; default: those of the system")
	f.BoolVar(&l.startTLS, "ldap-starttls", false, "begin TLS with StartTLS on ldap:// connections")
	f.StringVar(&l.filter, "ldap-filter", "", "search `filter`, in which {address}, {local} and {domain} are replaced; default:\n"+ldap.DefaultFilter)
	f.StringVar(&l.route, "ldap-route", "", "`attribute` that names the system with the mailbox of an entry, as mailHost; default: none")
	f.Var(&l.ours, "ldap-ours", "further `values` of -ldap-route that mean our system, besides ours, -ours and -our-server")
	f.Var(&l.theirs, "ldap-theirs", "further `values` of -ldap-route that mean their system, besides theirs, -theirs and -their-server")
	f.BoolVar(&l.limits, "ldap-limits", false, "apply the limits of Exchange that entries have: submissionContLength and delivContLength, the largest\nmessage of a sender and for a recipient in KiB, and msExchRecipLimit")
	f.StringVar(&l.owner, "ldap-owner", "", "`attribute` with the owner of a group, as managedBy, who gets the reports about its members; default: none")
}

func (l *ldapSettings) check(k *program.Kit) {
	if len(l.urls) > 0 {
		k.Require("ldap-base", l.base != "")
		return
	}
	for setting, value := range map[string]string{"ldap-base": l.base, "ldap-bind-dn": l.bindDN, "ldap-password-file": l.passwordFile, "ldap-roots": l.roots,
		"ldap-filter": l.filter, "ldap-route": l.route, "ldap-owner": l.owner} {
		if value != "" {
			k.Fault(setting, errors.New("has no effect without -ldap"))
		}
	}
	if l.limits {
		k.Fault("ldap-limits", errors.New("needs -ldap"))
	}
}

// directory returns the client that the rules use; nil without LDAP servers.
func (m *merger) directory(k *program.Kit, r *program.Rules) *ldap.Directory {
	l, settings := &m.ldap, ""
	var d *ldap.Directory
	if len(l.urls) > 0 {
		d = l.servers(k)
		settings = fmt.Sprintf("%q %q %q %q %q %v %s", d.URLs, d.BaseDN, d.Filter, d.BindDN, d.Password, d.StartTLS, k.ReadFile("ldap-roots", l.roots))
	}
	return program.Reuse(k, r, "ldap", settings, d)
}

// servers returns the client of the LDAP servers.
func (l *ldapSettings) servers(k *program.Kit) *ldap.Directory {
	d := &ldap.Directory{
		URLs: l.urls, BaseDN: l.base, Filter: l.filter, BindDN: l.bindDN, Password: k.Secret("ldap-password-file", l.passwordFile),
		StartTLS: l.startTLS, MaxConnections: 8,
	}
	if roots := k.Roots("ldap-roots", l.roots); roots != nil {
		d.TLSConfig = &tls.Config{RootCAs: roots}
	}
	k.Fault("ldap", d.Validate())
	return d
}
