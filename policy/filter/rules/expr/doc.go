// Package expr makes conditions of transport rules from expressions in text,
// for example from a configuration file. The language is that of
// github.com/expr-lang/expr. The package is a separate module, so that programs
// without it do not depend on that library.
//
//	rules.Rule{
//		Name: "large mail to partners",
//		If:   []rules.Condition{expr.Condition(`size > 5_000_000 and to_domain in ["partner.example", "example.net"]`)},
//		Then: []rules.Action{rules.Reject(550, "Please use the portal")},
//	}
//
// An expression has at most 1000 nodes. It can use these names:
//
//	from, from_domain    the reverse-path, and its domain in lower case
//	to, to_domain        one recipient; the expression is then evaluated for each recipient
//	recipients           all recipients
//	subject              the subject, with encoded-words decoded
//	size                 the size of the message, in bytes
//	scl                  the spam confidence level, or -2 if there is none
//	helo, identity       the client's HELO name, and its login name
//	client               the client's IP address
//	header("Name")       the value of the first field with this name, or ""
//	headers("Name")      the values of all fields with this name
//	text()               the text of the message, up to 1 MiB
//	attachments()        the file names in the message
//
// If the evaluation fails, for example because it needs more memory than the
// language allows, the client gets a 451.
package expr
