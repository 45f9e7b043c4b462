package mtasts_test

import (
	"fmt"

	"github.com/bridgehead-mail/bridgehead/smtpclient/mtasts"
)

// Parse the policy of a domain and check which hosts it allows.
func ExampleParsePolicy() {
	policy, err := mtasts.ParsePolicy("version: STSv1\nmode: enforce\nmx: *.example.net\nmax_age: 604800\n")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(policy.Mode, policy.MaxAge)
	fmt.Println(policy.Matches("mx1.example.net"), policy.Matches("mx1.example.org"))
	// Output:
	// enforce 168h0m0s
	// true false
}
