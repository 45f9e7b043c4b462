package rules_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/policy/filter/content"
	"github.com/bridgehead-mail/bridgehead/policy/filter/rules"
	"github.com/bridgehead-mail/bridgehead/policy/internal/agenttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const mail = "From: Alice <alice@example.com>\r\nMessage-ID: <1@example.com>\r\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= and\r\n\tan invoice\r\nX-A: 1\r\nX-A: 2\r\n" +
	"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
	"U3Rya+RuZ2U=\r\n--b\r\nContent-Type: application/pdf; name=\"Bill.PDF\"\r\n\r\n%PDF\r\n--b--\r\n"

var to = []string{"b@example.net", "c@example.org", "d@sub.example.org"}

// holds returns the recipients to which a rule with these conditions applies.
func holds(t *testing.T, r rules.Rule) []string {
	t.Helper()
	var got []string
	r.Name = "test"
	r.Then = []rules.Action{rules.Do("note", "", func(_ *rules.Mail, matched []string) error { got = matched; return nil })}
	rs := &rules.Rules{List: []rules.Rule{r}}
	if err := rs.Validate(); err != nil {
		t.Fatal(err)
	}
	if m := agenttest.Relay(t, "alice@example.com", to, mail, rs.Agent()); m.Data != mail {
		t.Errorf("asking has changed the message:\n%s", m.Data)
	}
	return got
}

func TestConditions(t *testing.T) {
	all := to
	none := []string(nil)
	loop := netip.MustParsePrefix("127.0.0.0/8")
	for name, c := range map[string]struct {
		cond rules.Condition
		want []string
	}{
		"from address":         {rules.From("ALICE@Example.com"), all},
		"from domain":          {rules.From("example.org", "example.com"), all},
		"from other":           {rules.From("*.example.com", "com", "<>"), none},
		"to":                   {rules.To("example.org"), []string{"c@example.org"}},
		"to subdomains":        {rules.To("*.example.org", "b@example.net"), []string{"b@example.net", "d@sub.example.org"}},
		"not to":               {rules.Not(rules.To("example.org")), []string{"b@example.net", "d@sub.example.org"}},
		"header":               {rules.Header("x-a", "^2$"), all},
		"header, other":        {rules.Header("X-A", "3"), none},
		"header, encoded":      {rules.Header("Subject", "^Grüße and\tan invoice$"), all},
		"subject":              {rules.Subject("nothing", "GRÜSSE", "grüße AND"), all},
		"body":                 {rules.Body("STRKÄNGE", "Strkänge"), all},
		"body, other":          {rules.Body("PDF"), none},
		"attachment":           {rules.Attachment("*.exe", "bill.pdf"), all},
		"attachment, any":      {rules.Attachment(), all},
		"attachment, other":    {rules.Attachment("*.exe"), none},
		"size":                 {rules.LargerThan(int64(len(mail)) - 1), all},
		"size, other":          {rules.LargerThan(int64(len(mail))), none},
		"scl without a rating": {rules.SCL(0), none},
		"authenticated":        {rules.Authenticated(), none},
		"client":               {rules.Client(loop), all},
		"client, other":        {rules.Not(rules.Client(loop)), none},
		"any":                  {rules.Any(rules.To("b@example.net"), rules.To("c@example.org"), rules.Authenticated()), to[:2]},
		"any of the message":   {rules.Any(rules.Authenticated(), rules.From("example.com")), all},
	} {
		if got := holds(t, rules.Rule{If: []rules.Condition{c.cond}}); !slices.Equal(got, c.want) {
			t.Errorf("%s: holds for %q, want %q", name, got, c.want)
		}
	}
	if got := holds(t, rules.Rule{}); !slices.Equal(got, to) {
		t.Errorf("no conditions: %q", got)
	}
	both := rules.Rule{If: []rules.Condition{rules.From("example.com"), rules.Not(rules.To("b@example.net"))}, Unless: []rules.Condition{rules.To("*.example.org")}}
	if got := holds(t, both); !slices.Equal(got, to[1:2]) {
		t.Errorf("if and unless: %q", got)
	}
	if got := holds(t, rules.Rule{Unless: []rules.Condition{rules.Subject("invoice")}}); got != nil {
		t.Errorf("unless: %q", got)
	}
}

// apply relays one message through one rule with these actions.
func apply(t *testing.T, data string, cond []rules.Condition, then ...rules.Action) agenttest.Message {
	t.Helper()
	rs := &rules.Rules{List: []rules.Rule{{Name: "test", If: cond, Then: then}}}
	if err := rs.Validate(); err != nil {
		t.Fatal(err)
	}
	return agenttest.Relay(t, "alice@example.com", to, data, rs.Agent())
}

func TestActions(t *testing.T) {
	for name, c := range map[string]struct {
		action rules.Action
		data   string
		to     []string
	}{
		"subject":          {rules.PrependSubject("[X] "), strings.Replace(mail, "Subject: ", "Subject: [X] ", 1), to},
		"set a header":     {rules.SetHeader("X-A", "new"), strings.Replace(mail, "X-A: 1\r\nX-A: 2", "X-A: new", 1), to},
		"set a new header": {rules.SetHeader("X-B", "new"), strings.Replace(mail, "\r\n\r\n", "\r\nX-B: new\r\n\r\n", 1), to},
		"remove a header":  {rules.RemoveHeader("x-a"), strings.Replace(mail, "X-A: 1\r\nX-A: 2\r\n", "", 1), to},
		"redirect":         {rules.Redirect("x@example.com", "d@sub.example.org"), mail, []string{"d@sub.example.org", "x@example.com"}},
		"copy":             {rules.Copy("x@example.com"), mail, append(slices.Clone(to), "x@example.com")},
		"drop":             {rules.Drop(), mail, to[2:]},
	} {
		// The rule applies to the first two recipients.
		got := apply(t, mail, []rules.Condition{rules.Any(rules.To("example.net"), rules.To("example.org"))}, c.action)
		if got.Data != c.data || !slices.Equal(got.To, c.to) {
			t.Errorf("%s: to %q\n%s", name, got.To, got.Data)
		}
	}
}

// Reports about redirected mail go to the sender and name the address that the
// sender used. Copies cause no reports.
func TestReportsAboutOthers(t *testing.T) {
	got := apply(t, mail, nil, rules.Redirect("x@example.com"), rules.Copy("y@example.com"))
	x, y := got.Message.Recipients[0].Options, got.Message.Recipients[1].Options
	if x.OriginalRecipient != "b@example.net" || x.Notify != nil || !slices.Equal(y.Notify, []smtp.DSNNotify{smtp.DSNNotifyNever}) {
		t.Errorf("redirected %+v, copied %+v", x, y)
	}
}

func TestRejectAndDropAll(t *testing.T) {
	reject := &rules.Rules{List: []rules.Rule{{Name: "no", If: []rules.Condition{rules.To("example.org")}, Then: []rules.Action{rules.Reject(550, "Not this way")}}}}
	if text := agenttest.Refused(t, 550, "alice@example.com", to, mail, reject.Agent()); text != "5.7.1 Not this way" {
		t.Errorf("%q", text)
	}
	drop := &rules.Rules{List: []rules.Rule{
		{Name: "drop", Then: []rules.Action{rules.Drop()}},
		{Name: "never comes", Then: []rules.Action{rules.Reject(550, "no")}},
	}}
	s := agenttest.Start(t, drop.Agent())
	if code, text := s.Dial(t).Send("alice@example.com", to, mail); code != 250 || len(s.Accepted()) > 0 {
		t.Errorf("%d %s, %d accepted", code, text, len(s.Accepted()))
	}
}

func TestOrderStopAndDisabled(t *testing.T) {
	rs := &rules.Rules{List: []rules.Rule{
		{Name: "off", Disabled: true, Then: []rules.Action{rules.Reject(550, "no")}},
		{Name: "one", Then: []rules.Action{rules.SetSCL(7), rules.SetHeader("X-A", "one")}},
		{Name: "two", If: []rules.Condition{rules.Header("X-A", "one"), rules.SCL(7)}, Then: []rules.Action{rules.SetHeader("X-A", "two")}, Stop: true},
		{Name: "three", Then: []rules.Action{rules.Reject(550, "no")}},
	}}
	got := agenttest.Relay(t, "alice@example.com", to, mail, rs.Agent(), (&content.Filter{}).Agent())
	if !strings.Contains(got.Data, "X-A: two\r\n") || !strings.Contains(got.Data, "SCL: 7\r\n") {
		t.Errorf("%s", got.Data)
	}
}

// If a condition or an action fails, the reply is 451. The rule is never
// skipped.
func TestFailuresAreTemporary(t *testing.T) {
	broken := errors.New("broken")
	note := rules.Do("note", "", func(*rules.Mail, []string) error { return nil })
	for name, r := range map[string]rules.Rule{
		"condition":           {Name: "x", If: []rules.Condition{rules.Func(func(*rules.Mail) (bool, error) { return false, broken })}, Then: []rules.Action{note}},
		"exception":           {Name: "x", Unless: []rules.Condition{rules.Func(func(*rules.Mail) (bool, error) { return false, broken })}, Then: []rules.Action{note}},
		"recipient condition": {Name: "x", If: []rules.Condition{rules.RecipientFunc(func(*rules.Mail, string) (bool, error) { return false, broken })}, Then: []rules.Action{note}},
		"action":              {Name: "x", Then: []rules.Action{rules.Do("x", "", func(*rules.Mail, []string) error { return broken })}},
		"not valid":           {Name: "", Then: []rules.Action{note}},
	} {
		rs := &rules.Rules{List: []rules.Rule{r}}
		if agenttest.Refused(t, 451, "alice@example.com", to, mail, rs.Agent()) == "" {
			t.Error(name)
		}
	}
	bomb := "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\n", 2000)
	for _, c := range []rules.Condition{rules.Body("x"), rules.Attachment()} {
		rs := &rules.Rules{List: []rules.Rule{{Name: "x", If: []rules.Condition{c}, Then: []rules.Action{note}}}}
		agenttest.Refused(t, 554, "alice@example.com", to, bomb, rs.Agent()) // permanent, because a retry would fail, too
	}
}

// Conditions see the same text that mail programs show.
func TestConditionsAreNotEvaded(t *testing.T) {
	for name, c := range map[string]struct {
		fields string
		cond   rules.Condition
	}{
		"the second subject":    {"Subject: hello\r\nsubject : invoice\r\n", rules.Subject("invoice")},
		"without padding":       {"Subject: =?utf-8?b?aW52b2ljZQ?=\r\n", rules.Subject("invoice")},
		"an unknown charset":    {"Subject: =?x-unknown?q?inv=6Fice?=\r\n", rules.Header("Subject", "^invoice$")},
		"a dot at the end":      {"Content-Disposition: attachment; filename=\"a.exe. \"\r\n", rules.Attachment("*.exe")},
		"a folder":              {"Content-Disposition: attachment; filename=\"c:\\\\x\\\\a.exe\"\r\n", rules.Attachment("a.exe")},
		"a name with a comment": {"Content-Disposition: attachment; filename(x)=a.exe\r\n", rules.Attachment("*.exe")},
	} {
		rs := &rules.Rules{List: []rules.Rule{{Name: "x", If: []rules.Condition{c.cond}, Then: []rules.Action{rules.Reject(550, "met")}}}}
		if got := agenttest.Refused(t, 550, "alice@example.com", to, c.fields+"\r\nx\r\n", rs.Agent()); !strings.Contains(got, "met") {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestValidate(t *testing.T) {
	ok := rules.Rule{Name: "ok", Then: []rules.Action{rules.Drop()}}
	with := func(c rules.Condition) rules.Rule {
		return rules.Rule{Name: "x", If: []rules.Condition{c}, Then: ok.Then}
	}
	then := func(a rules.Action) rules.Rule { return rules.Rule{Name: "x", Then: []rules.Action{a}} }
	for want, rs := range map[string][]rules.Rule{
		"no name":                                {{Then: ok.Then}},
		"no action":                              {{Name: "x"}},
		`two rules have the name`:                {ok, ok},
		"rule 2 (x): From":                       {ok, with(rules.From("a b"))},
		"To: bad pattern":                        {with(rules.To("@"))},
		"Header(X)":                              {with(rules.Header("X", "["))},
		"Attachment: bad pattern":                {with(rules.Attachment("["))},
		"Client":                                 {with(rules.Client(netip.Prefix{}))},
		"an empty Condition":                     {with(rules.Condition{})},
		"an empty Action":                        {then(rules.Action{})},
		"Redirect: the number of addresses is 0": {then(rules.Redirect())},
		`Copy: address "x"`:                      {then(rules.Copy("x"))},
		"250 is not from 400 to 599":             {then(rules.Reject(250, "ok"))},
		"SetHeader":                              {then(rules.SetHeader("X-A: b\r\nX-B", "c"))},
		"RemoveHeader":                           {then(rules.RemoveHeader(""))},
		"PrependSubject":                         {then(rules.PrependSubject("a\r\nb"))},
		"SetSCL: 10":                             {then(rules.SetSCL(10))},
		"Disclaimer":                             {then(rules.Disclaimer(" ", ""))},
		"Do: no name":                            {then(rules.Do("", "", nil))},
		"1001 rules, more than 1000":             make([]rules.Rule, 1001),
	} {
		if err := (&rules.Rules{List: rs}).Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	for _, c := range []rules.Condition{rules.Not(rules.From("a b")), rules.Any(rules.To("a"), rules.From("a b"))} {
		if (&rules.Rules{List: []rules.Rule{with(c)}}).Validate() == nil {
			t.Error("a bad condition within another passes")
		}
	}
	if err := (&rules.Rules{List: []rules.Rule{ok}, Tracking: new(rules.Tracking)}).Validate(); err == nil {
		t.Error("tracking without a folder passes")
	}
}
