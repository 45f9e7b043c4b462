package authres_test

import (
	"fmt"

	"github.com/bridgehead-mail/bridgehead/policy/authres"
)

// Read a field that one's own front host has written.
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
