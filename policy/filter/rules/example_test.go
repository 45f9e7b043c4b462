package rules_test

import (
	"fmt"

	"github.com/bridgehead-mail/bridgehead/policy/filter/rules"
)

// A disclaimer for outgoing mail, and a stricter check of some incoming mail.
func ExampleRules() {
	r := &rules.Rules{List: []rules.Rule{{
		Name: "disclaimer",
		If:   []rules.Condition{rules.From("example.com"), rules.Not(rules.To("example.com"))},
		Then: []rules.Action{rules.Disclaimer("Example Ltd, registered in Example.", "")},
	}, {
		Name:   "invoices as archives",
		If:     []rules.Condition{rules.Subject("invoice"), rules.Attachment("*.zip", "*.rar")},
		Unless: []rules.Condition{rules.Authenticated()},
		Then:   []rules.Action{rules.PrependSubject("[CHECK] "), rules.Redirect("accounts@example.com")},
		Stop:   true,
	}}}
	fmt.Println(r.Validate())

	r.List[0].If = append(r.List[0].If, rules.Header("Subject", "(unclosed"))
	fmt.Println(r.Validate())
	// Output:
	// <nil>
	// rules: rule 1 (disclaimer): Header(Subject): error parsing regexp: missing closing ): `(unclosed`
}

// A condition and an action of the application.
func ExampleDo() {
	weekend := rules.Func(func(m *rules.Mail) (bool, error) {
		day := m.Message.Received.Weekday()
		return day == 0 || day == 6, nil
	})
	note := rules.Do("Note", "weekend", func(m *rules.Mail, matched []string) error {
		fmt.Println(m.Subject(), matched)
		return nil
	})
	r := &rules.Rules{List: []rules.Rule{{Name: "weekend", If: []rules.Condition{weekend}, Then: []rules.Action{note}}}}
	fmt.Println(r.Validate())
	// Output: <nil>
}
