package dkim_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dkim"
)

// Verify needs no settings. A message without signatures needs no DNS.
func ExampleVerify() {
	verdict, err := dkim.Verify(context.Background(), strings.NewReader("From: alice@example.org\r\n\r\nHello\r\n"))
	fmt.Println(verdict.Result(), err)
	// Output: none <nil>
}
