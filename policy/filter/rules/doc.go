// Package rules has transport rules: what is to be done with which messages.
//
//	r := &rules.Rules{List: []rules.Rule{{
//		Name: "disclaimer",
//		If:   []rules.Condition{rules.From("example.com"), rules.Not(rules.To("example.com"))},
//		Then: []rules.Action{rules.Disclaimer("Example Ltd, registered in Example.", "")},
//	}, {
//		Name:   "no payments by mail",
//		If:     []rules.Condition{rules.Subject("invoice"), rules.Attachment("*.zip")},
//		Unless: []rules.Condition{rules.Authenticated()},
//		Then:   []rules.Action{rules.Redirect("accounts@example.com")},
//		Stop:   true,
//	}}}
//	if err := r.Validate(); err != nil {
//		log.Fatal(err)
//	}
//	srv.Agents = append(srv.Agents, r.Agent())
//
// Conditions: From, To, Header, Subject, Body, Attachment, LargerThan, SCL,
// Authenticated, Client, put together with Not and Any; and Func and
// RecipientFunc for one's own. Package policy/filter/rules/expr, a module of its own,
// makes conditions of expressions in text.
//
// Actions: Disclaimer, PrependSubject, SetHeader, RemoveHeader, SetSCL,
// Redirect, Copy, Reject and Drop; and Do for one's own.
//
// [Tracking] writes down what each rule did with each message.
package rules
