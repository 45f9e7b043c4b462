// Package ldap is a policy.Directory of the recipients in an LDAP server:
// Active Directory, OpenLDAP or any other.
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
// When no server answers, Exists says so by an error, and the client is asked
// to come again: mail is delayed, never refused. A policy.CachedDirectory in
// front saves most questions, and bridges a short outage.
//
// It is a module of its own, so that those who do not need it do not get its
// dependencies.
package ldap
