package expr

import (
	"fmt"
	"net"

	lang "github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"

	"github.com/bridgehead-mail/bridgehead/policy/filter/content"
	"github.com/bridgehead-mail/bridgehead/policy/filter/rules"
)

// maxNodes is the largest number of nodes in an expression.
const maxNodes = 1000

// env has the names that an expression can use.
type env struct {
	From        string                   `expr:"from"`
	FromDomain  string                   `expr:"from_domain"`
	To          string                   `expr:"to"`
	ToDomain    string                   `expr:"to_domain"`
	Recipients  []string                 `expr:"recipients"`
	Subject     string                   `expr:"subject"`
	Size        int                      `expr:"size"`
	SCL         int                      `expr:"scl"`
	Helo        string                   `expr:"helo"`
	Identity    string                   `expr:"identity"`
	Client      string                   `expr:"client"`
	Header      func(string) string      `expr:"header"`
	Headers     func(string) []string    `expr:"headers"`
	Text        func() (string, error)   `expr:"text"`
	Attachments func() ([]string, error) `expr:"attachments"`
}

// Condition returns a condition that is met if the expression is true.
// rules.Rules.Validate reports an invalid expression.
func Condition(expression string) rules.Condition {
	program, err := lang.Compile(expression, lang.Env(env{}), lang.AsBool(), lang.MaxNodes(maxNodes))
	if err != nil {
		return rules.Invalid(fmt.Errorf("expression: %w", err))
	}
	each, err := asksForRecipients(expression)
	if err != nil {
		return rules.Invalid(fmt.Errorf("expression: %w", err))
	}
	if each {
		return rules.RecipientFunc(func(m *rules.Mail, rcpt string) (bool, error) { return run(program, m, rcpt) })
	}
	return rules.Func(func(m *rules.Mail) (bool, error) { return run(program, m, "") })
}

func run(program *vm.Program, m *rules.Mail, rcpt string) (bool, error) {
	out, err := lang.Run(program, newEnv(m, rcpt))
	if err != nil {
		return false, fmt.Errorf("expression: %w", err)
	}
	met, ok := out.(bool)
	if !ok {
		return false, fmt.Errorf("expression: the result is %v, not true or false", out)
	}
	return met, nil
}

func newEnv(m *rules.Mail, rcpt string) env {
	e := env{
		From: m.Message.From, FromDomain: rules.Domain(m.Message.From),
		To: rcpt, ToDomain: rules.Domain(rcpt),
		Subject: m.Subject(), Size: int(m.Size()), SCL: content.Trusted - 1,
		Helo: m.Session.RawHelo(), Identity: m.Session.Identity(),
		Header: m.Message.Header.Get, Headers: m.Message.Header.Values,
		Text: m.Text, Attachments: m.Attachments,
	}
	for _, r := range m.Message.Recipients {
		e.Recipients = append(e.Recipients, r.Addr)
	}
	if r, ok := content.RatingOf(m.Session); ok {
		e.SCL = r.Level
	}
	if host, _, err := net.SplitHostPort(m.Session.RemoteAddr().String()); err == nil {
		e.Client = host
	}
	return e
}

// finder looks for the names that refer to one recipient. $env refers to all
// names.
type finder struct{ found bool }

func (f *finder) Visit(node *ast.Node) {
	if id, ok := (*node).(*ast.IdentifierNode); ok && (id.Value == "to" || id.Value == "to_domain" || id.Value == "$env") {
		f.found = true
	}
}

func asksForRecipients(expression string) (bool, error) {
	tree, err := parser.Parse(expression)
	if err != nil {
		return false, err
	}
	f := new(finder)
	ast.Walk(&tree.Node, f)
	return f.found, nil
}
