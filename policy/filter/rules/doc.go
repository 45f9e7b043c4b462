// Package rules implements transport rules: actions on the messages that meet
// given conditions.
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
// The conditions are From, To, Header, Subject, Body, Attachment, LargerThan,
// SCL, Authenticated and Client. Not and Any combine conditions. Func and
// RecipientFunc make a condition from a function. The separate module
// policy/filter/rules/expr makes conditions from expressions in text.
//
// The actions are Disclaimer, PrependSubject, SetHeader, RemoveHeader, SetSCL,
// Redirect, Copy, Reject and Drop. Do makes an action from a function.
//
// [Tracking] logs the effects of each rule on each message.
package rules
