// Package expr makes conditions of transport rules from expressions in text,
// for rules that come out of a configuration file. It is a module of its own,
// so that only those who want it depend on github.com/expr-lang/expr, which
// defines the language.
//
//	rules.Rule{
//		Name: "large mail to partners",
//		If:   []rules.Condition{expr.Condition(`size > 5_000_000 and to_domain in ["partner.example", "example.net"]`)},
//		Then: []rules.Action{rules.Reject(550, "Please use the portal")},
//	}
//
// An expression has these names:
//
//	from, from_domain    the reverse-path, and its domain in lower case
//	to, to_domain        one recipient; the expression is then asked for each
//	recipients           all of them
//	subject              with its encoded-words read
//	size                 of the message, in bytes
//	scl                  spam confidence level; -2 where there is none
//	helo, identity       the client's name for itself, and who it proved to be
//	client               its IP address
//	header("Name")       the value of the first field of that name, or ""
//	headers("Name")      the values of all of them
//	text()               the text of the message, up to 1 MiB
//	attachments()        the file names in it
//
// An expression that fails, for instance because it would use more memory
// than the language allows it, is a 451 for the client.
package expr
