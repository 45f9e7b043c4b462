package authres_test

import (
	"fmt"
	"strings"

	"github.com/bridgehead-mail/bridgehead/policy/mailauth/authres"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dkim"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dmarc"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/spf"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Parse a field that another host of the organization has written.
func ExampleParse() {
	id, results, err := authres.Parse(`mx.example.com; spf=pass smtp.mailfrom=example.org; dkim=fail (bad) header.d=example.org`)
	fmt.Println(id, err)
	for _, r := range results {
		fmt.Println(r.Method, r.Value, r.Properties)
	}
	// Output:
	// mx.example.com <nil>
	// spf pass [{smtp mailfrom example.org}]
	// dkim fail [{header d example.org}]
}

// Format a field without a session.
func ExampleFormat() {
	field := authres.Format("mx.example.com",
		authres.Result{Method: "spf", Value: "pass", Properties: []authres.Property{{Type: "smtp", Name: "mailfrom", Value: "example.org"}}},
		authres.Result{Method: "iprev", Value: "fail", Reason: "no name", Properties: []authres.Property{{Type: "policy", Name: "iprev", Value: "192.0.2.1"}}})
	fmt.Print(strings.NewReplacer("\r", "", "\t", "    ").Replace(field))
	// Output:
	// Authentication-Results: mx.example.com;
	//     spf=pass smtp.mailfrom=example.org;
	//     iprev=fail reason="no name" policy.iprev=192.0.2.1
}

// A server that checks messages, removes forged fields and adds its own field.
func ExampleStamper_Agent() {
	spf, dkim, dmarc := &spf.Checker{}, &dkim.Verifier{}, &dmarc.Checker{}
	stamper := &authres.Stamper{ID: "mx.example.com", RemoveAll: true}
	srv := &smtpserver.Server{Agents: []smtpserver.Agent{spf.Agent(), dkim.Agent(), dmarc.Agent(), stamper.Agent()}}
	fmt.Println(len(srv.Agents), srv.Agents[3].Name)
	// Output: 4 authres
}
