package ldap_test

import (
	"fmt"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/filter/rewrite"
	"github.com/bridgehead-mail/bridgehead/policy/ldap"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Mail that users send leaves with their primary addresses.
func ExamplePrimary() {
	users := &ldap.Directory{URLs: []string{"ldaps://dc1.example.com", "ldaps://dc2.example.com"}, BaseDN: "dc=example,dc=com"}
	defer users.Close()
	primary := &rewrite.Primary{Source: &ldap.Primary{Directory: users}, Domains: []string{"example.com"}}
	fmt.Println(primary.Validate())

	// The agents of Outbound get the mail of users and internal hosts, and no other.
	gate := &policy.Gate{Authenticated: true, Outbound: []smtpserver.Agent{primary.Agent()}}
	fmt.Println(gate.Outbound[0].Name)
	// Output:
	// <nil>
	// primary addresses
}
