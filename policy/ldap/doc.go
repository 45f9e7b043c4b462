// Package ldap implements a policy.Directory that looks up recipients in an LDAP
// server, for example Active Directory or OpenLDAP, and a policy.AliasSource for
// its groups, contacts and mailboxes on other hosts.
//
//	users := &ldap.Directory{
//		URLs:     []string{"ldaps://dc1.example.com", "ldaps://dc2.example.com"},
//		BaseDN:   "dc=example,dc=com",
//		BindDN:   "cn=relay,ou=services,dc=example,dc=com",
//		Password: secret,
//	}
//	defer users.Close()
//	gate := &policy.Gate{
//		Domains: []policy.Domain{{
//			Name:      "example.com",
//			Directory: &policy.CachedDirectory{Directory: users},
//		}},
//		...
//	}
//
// If no server answers, Exists returns an error. The gate then defers the mail
// with a 4xx reply and does not refuse it permanently. A policy.CachedDirectory
// avoids most LDAP searches. It also answers from its cache during short
// outages of the LDAP servers.
//
// Aliases finds groups, contacts and hosts with the same Directory:
//
//	aliases := &policy.Aliases{Source: &ldap.Aliases{Directory: users}}
//	q.Hooks = append(q.Hooks, aliases.Hook())
//
// Primary finds the primary address of a mailbox, for the senders of outgoing mail.
//
// Limits applies the limits of size and recipients that entries have.
//
// Accounts checks the passwords of users by a bind, for smtpserver.PasswordAuth, and knows
// their addresses, for policy.SendAs.
//
// The package is a separate module, so that programs without LDAP do not have its
// dependencies.
package ldap
