package rules_test

import (
	"context"
	"fmt"

	"github.com/bridgehead-mail/bridgehead/policy/filter/rules"
)

// customers represents a database.
type customers map[string]bool

func (c customers) has(ctx context.Context, domain string) (bool, error) { return c[domain], ctx.Err() }

// A condition that looks up the domain of each recipient.
func ExampleRecipientFunc() {
	known := customers{"example.net": true}
	toCustomer := rules.RecipientFunc(func(m *rules.Mail, rcpt string) (bool, error) {
		return known.has(m.Context(), rules.Domain(rcpt))
	})
	r := &rules.Rules{List: []rules.Rule{{
		Name: "customers",
		If:   []rules.Condition{toCustomer},
		Then: []rules.Action{rules.SetHeader("X-Customer", "yes")},
	}}}
	fmt.Println(r.Validate(), rules.Domain("carol@Example.NET"))
	// Output: <nil> example.net
}
