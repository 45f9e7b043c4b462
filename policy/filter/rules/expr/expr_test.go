package expr_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/smtp"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/policy/filter/content"
	"github.com/bridgehead-mail/bridgehead/policy/filter/rules"
	"github.com/bridgehead-mail/bridgehead/policy/filter/rules/expr"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const mail = "From: a@example.com\r\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\nX-A: 1\r\nX-A: 2\r\nContent-Type: application/pdf; name=a.pdf\r\n\r\nbody\r\n"

var to = []string{"b@Example.net", "c@example.org"}

// send sends the message through agents of a server.
func send(t *testing.T, agents ...smtpserver.Agent) error {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &smtpserver.Server{Hostname: "relay.example.com", Agents: agents,
		Handler: smtpserver.HandlerFunc(func(context.Context, *smtpserver.Session, *smtpserver.Message) (string, error) { return "", nil })}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	defer func() { srv.Close(); <-done }()
	c, err := smtp.Dial(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Hello("client (1)"); err != nil {
		t.Fatal(err)
	}
	if err := c.Mail("a@Example.com"); err != nil {
		t.Fatal(err)
	}
	for _, r := range to {
		if err := c.Rcpt(r); err != nil {
			t.Fatal(err)
		}
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, mail)
	return w.Close()
}

func TestExpressions(t *testing.T) {
	rate := smtpserver.Agent{Name: "rate", EndOfData: func(_ context.Context, s *smtpserver.Session, _ *smtpserver.Message) error {
		content.Rate(s, 4, "test")
		return nil
	}}
	for expression, want := range map[string][]string{
		`true`: to,
		`from == "a@Example.com" and from_domain == "example.com"`:                       to,
		`to_domain == "example.net"`:                                                     to[:1],
		`to matches "^c@"`:                                                               to[1:],
		`$env.to == "c@example.org" or $env["to_domain"] == "x"`:                         to[1:],
		`len(recipients) == 2 and "c@example.org" in recipients`:                         to,
		`subject contains "üß"`:                                                          to,
		fmt.Sprintf(`size == %d`, len(mail)):                                             to,
		`scl >= 4 and scl < 5`:                                                           to,
		`helo == "client (1)" and identity == "" and client == "127.0.0.1"`:              to,
		`header("x-a") == "1" and headers("X-A") == ["1", "2"] and header("none") == ""`: to,
		`any(attachments(), # endsWith ".pdf") and text() == ""`:                         to,
		`false or to == ""`:                                                              nil,
	} {
		var got []string
		note := rules.Do("note", "", func(_ *rules.Mail, matched []string) error { got = matched; return nil })
		rs := &rules.Rules{List: []rules.Rule{{Name: "x", If: []rules.Condition{expr.Condition(expression)}, Then: []rules.Action{note}}}}
		if err := rs.Validate(); err != nil {
			t.Error(err)
			continue
		}
		if err := send(t, rate, rs.Agent()); err != nil {
			t.Errorf("%s: %v", expression, err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: holds for %q, want %q", expression, got, want)
		}
	}
}

func TestBadExpressions(t *testing.T) {
	for _, bad := range []string{``, `from ==`, `size`, `nothing == 1`, `from == 1`, `header(1) == ""`, strings.Repeat("true and ", 2000) + "true"} {
		rs := &rules.Rules{List: []rules.Rule{{Name: "x", If: []rules.Condition{expr.Condition(bad)}, Then: []rules.Action{rules.Drop()}}}}
		if err := rs.Validate(); err == nil || !strings.Contains(err.Error(), "expression: ") {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
}

// If an expression fails, the result is an error and not "false".
func TestFailingExpression(t *testing.T) {
	for _, greedy := range []string{`len(1..10000000) > size`, `headers("X-A")[7] == ""`} {
		rs := &rules.Rules{List: []rules.Rule{{Name: "x", If: []rules.Condition{expr.Condition(greedy)}, Then: []rules.Action{rules.Drop()}}}}
		if err := rs.Validate(); err != nil {
			t.Fatal(err)
		}
		if err := send(t, rs.Agent()); err == nil || !strings.HasPrefix(err.Error(), "451") {
			t.Errorf("%s: %v", greedy, err)
		}
	}
}

func ExampleCondition() {
	rule := rules.Rule{
		Name: "large mail to partners",
		If:   []rules.Condition{expr.Condition(`size > 5_000_000 and to_domain in ["partner.example", "example.net"]`)},
		Then: []rules.Action{rules.Reject(550, "Please use the portal")},
	}
	fmt.Println((&rules.Rules{List: []rules.Rule{rule}}).Validate())

	rule.If = []rules.Condition{expr.Condition(`size > "large"`)}
	err := (&rules.Rules{List: []rules.Rule{rule}}).Validate()
	fmt.Println(strings.Split(err.Error(), "\n")[0])
	// Output:
	// <nil>
	// rules: rule 1 (large mail to partners): expression: invalid operation: > (mismatched types int and string) (1:6)
}
