package firewall

import (
	"context"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/policy/internal/agenttest"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const mail = "Received: from x by y\r\nFrom: a@example.org\r\nSubject: hello\r\nResent-From: r@example.org\r\n\r\nX-MS-Exchange-Organization-SCL: in the body\r\n"

var to = []string{"b@example.com"}

// Inbound removes a forged field, however it is written and wherever it is.
func TestInboundRemovesForgedFields(t *testing.T) {
	for _, forged := range []string{
		"X-MS-Exchange-Organization-SCL: -1\r\n",
		"x-ms-exchange-organization-scl:-1\r\n",
		"X-MS-EXCHANGE-ORGANIZATION-AUTHAS : Internal\r\n",
		"X-MS-Exchange-Organization-AuthAs\t: Internal\r\n",
		"X-MS-Exchange-Organization-:\r\n",
		"X-MS-Exchange-Organization-SCL:\r\n\t-1\r\n -2\r\n",
		"X-MS-Exchange-Forest-RulesExecuted: x\r\nX-MS-Exchange-Organization-SCL: -1\r\n",
	} {
		for _, at := range []string{"Received", "Subject", "Resent-From"} {
			got := agenttest.Relay(t, "a@example.org", to, strings.Replace(mail, at+":", forged+at+":", 1), new(Inbound).Agent())
			if got.Data != mail {
				t.Errorf("%q before %s:\n%s", forged, at, got.Data)
			}
		}
	}
}

// A line that is not a field ends the header. A field after it becomes text of
// the body for every later reader of the message.
func TestFieldsAfterTheEndOfTheHeaderAreBody(t *testing.T) {
	for m, want := range map[string]string{
		"From: a@example.org\r\nno field\r\nX-MS-Exchange-Organization-SCL: -1\r\n\r\nbody\r\n": "From: a@example.org\r\n\r\nno field\r\nX-MS-Exchange-Organization-SCL: -1\r\n\r\nbody\r\n",
		"no field\r\nx-ms-exchange-organization-scl : -1\r\n\r\nbody\r\n":                       "\r\nno field\r\nx-ms-exchange-organization-scl : -1\r\n\r\nbody\r\n",
		"From: a@example.org\r\nX-MS-Exchange-Organization\r\n : -1\r\n\r\nbody\r\n":            "From: a@example.org\r\n\r\nX-MS-Exchange-Organization\r\n : -1\r\n\r\nbody\r\n",
		" X-Fold: first\r\nX-MS-Exchange-Organization-SCL: -1\r\n\r\n":                          "\r\n X-Fold: first\r\nX-MS-Exchange-Organization-SCL: -1\r\n\r\n",
		"From x Sat\r\nX-MS-Exchange-Organization-SCL: -1\r\n\r\n":                              "X-Mailbox-Line: From x Sat\r\n\r\n",
	} {
		if got := agenttest.Relay(t, "a@example.org", to, m, new(Inbound).Agent()); got.Data != want {
			t.Errorf("%q became %q, want %q", m, got.Data, want)
		}
	}
	for _, m := range []string{
		mail, "From: a@example.org\r\n\r\nX-MS-Exchange-Organization-SCL: x\r\n", "\r\nX-MS-Exchange-Organization-SCL: x\r\n", "From: x\r\n",
	} {
		if got := agenttest.Relay(t, "a@example.org", to, m, new(Inbound).Agent()); got.Data != m {
			t.Errorf("%q became %q", m, got.Data)
		}
	}
}

func TestTrustAndRouting(t *testing.T) {
	yes := func(*smtpserver.Session) bool { return true }
	with := "X-MS-Exchange-Organization-SCL: 3\r\n" + mail
	if got := agenttest.Relay(t, "a@example.org", to, with, (&Inbound{Trusts: yes}).Agent()); got.Data != with {
		t.Errorf("trusted:\n%s", got.Data)
	}
	got := agenttest.Relay(t, "a@example.org", to, mail, (&Inbound{RemoveRouting: yes}).Agent())
	want := strings.NewReplacer("Received: from x by y\r\n", "", "Resent-From: r@example.org\r\n", "").Replace(mail)
	if got.Data != want {
		t.Errorf("without routing fields:\n%s", got.Data)
	}
	own := &Inbound{Fields: []string{"X-Own", "X-Our-*"}}
	if got := agenttest.Relay(t, "a@example.org", to, "X-Own: 1\r\nX-Owner: 2\r\nX-Our-: 3\r\nX-our-A: 4\r\n"+mail, own.Agent()); got.Data != "X-Owner: 2\r\n"+mail {
		t.Errorf("own names:\n%s", got.Data)
	}
}

const report = "From: MAILER-DAEMON@example.com\r\nX-MS-Exchange-Organization-SCL: -1\r\nContent-Type: multipart/report; boundary=b\r\n\r\n" +
	"--b\r\n\r\nIt did not arrive. X-MS-Exchange-Organization-SCL: stays\r\n" +
	"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; example.com\r\n" +
	"--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: a@example.com\r\nX-MS-Exchange-Organization-SCL: 7\r\nX-MS-Exchange-Organization-AuthAs:\r\n\tInternal\r\nSubject: x\r\n\r\nX-MS-Exchange-Organization-SCL: stays\r\n" +
	"--b\r\nContent-Type: text/rfc822-headers\r\n\r\nX-MS-Exchange-Organization-SCL: 7\r\nSubject: x\r\n" +
	"--b--\r\n"

func TestOutboundCleansEnclosedOriginals(t *testing.T) {
	want := strings.NewReplacer(
		"X-MS-Exchange-Organization-SCL: -1\r\n", "",
		"X-MS-Exchange-Organization-SCL: 7\r\n", "",
		"X-MS-Exchange-Organization-AuthAs:\r\n\tInternal\r\n", "").Replace(report)
	f := new(Outbound)
	if got := agenttest.Relay(t, "", to, report, f.Agent()); got.Data != want {
		t.Errorf("agent:\n%s\nwant\n%s", got.Data, want)
	}
	m := &queue.Message{Content: queue.String(report)}
	if err := f.Hook().Submitted(context.Background(), m); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if _, err := m.Content.WriteTo(&b); err != nil || b.String() != want {
		t.Errorf("hook: %v\n%s", err, b.String())
	}
	// A message with nothing to remove keeps the same Content value.
	clean := queue.String(mail)
	m = &queue.Message{Content: clean}
	if err := f.Hook().Submitted(context.Background(), m); err != nil || m.Content != clean {
		t.Errorf("clean mail: %v", err)
	}
	f.Leaves = func(*queue.Message) bool { return false }
	inside := queue.String(report)
	m = &queue.Message{Content: inside}
	if err := f.Hook().Submitted(context.Background(), m); err != nil || m.Content != inside {
		t.Errorf("mail that stays: %v", err)
	}
	// In other messages than reports, enclosed messages do not change.
	forward := strings.Replace(report, "multipart/report", "multipart/mixed", 1)
	want = strings.Replace(forward, "X-MS-Exchange-Organization-SCL: -1\r\n", "", 1)
	if got := agenttest.Relay(t, "a@example.com", to, forward, new(Outbound).Agent()); got.Data != want {
		t.Errorf("forwarded:\n%s", got.Data)
	}
}

// Outbound also removes fields of the enclosed original that only some programs
// recognize: a field that is folded before its colon, or that follows a space.
func TestOutboundCleansHiddenFields(t *testing.T) {
	const head = "From: MAILER-DAEMON@example.com\r\nContent-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n"
	const tail = "Subject: x\r\n\r\nx\r\n--b--\r\n"
	f := &Outbound{Fields: []string{"X-Own", "X-Our-*"}}
	for _, field := range []string{"X-Own\r\n : 1\r\n", "X-Our-A\r\n\t: 1\r\n", " X-Own: 1\r\n", "\u00a0X-Our-A: 1\r\n", "X-Own\u00a0: 1\r\n"} {
		if got := agenttest.Relay(t, "", to, head+field+tail, f.Agent()); got.Data != head+tail {
			t.Errorf("%q: %s", field, got.Data)
		}
	}
	for _, field := range []string{"X-Other\r\n : 1\r\n", "no field\r\n", "X-Other: a\r\n X-Own: 1\r\n"} {
		if got := agenttest.Relay(t, "", to, head+field+tail, f.Agent()); got.Data != head+field+tail {
			t.Errorf("%q: %s", field, got.Data)
		}
	}
}

// Outbound refuses a report in which other programs may find another original
// message. The structure of the original message itself may be unclear.
func TestOutboundRefusesUnclearReports(t *testing.T) {
	for old, changed := range map[string]string{
		"boundary=b\r\n": "boundary=c; boundary=b\r\n",
		"Content-Type: multipart/report; boundary=b": "Content-Type: multipart/report; boundary=b\r\nContent-Type: text/plain",
		"Content-Type: message/rfc822":               "Content-Type\r\n : message/rfc822",
	} {
		text := agenttest.Refused(t, 550, "", to, strings.Replace(report, old, changed, 1), new(Outbound).Agent())
		if !strings.HasPrefix(text, "5.6.0 ") {
			t.Errorf("%s: %s", changed, text)
		}
	}
	original := strings.Replace(report, "From: a@example.com\r\n", "From: a@example.com\r\nContent-Type: multipart/mixed; boundary=x; boundary=y\r\n", 1)
	if got := agenttest.Relay(t, "", to, original, new(Outbound).Agent()); strings.Contains(got.Data, "SCL: 7") || !strings.Contains(got.Data, "boundary=y") {
		t.Errorf("an unclear original:\n%s", got.Data)
	}
}

func TestExternal(t *testing.T) {
	e := &External{Subject: "[EXTERNAL] "}
	want := strings.Replace(strings.Replace(mail, "hello", "[EXTERNAL] hello", 1), "\r\n\r\n", "\r\nX-External: yes\r\n\r\n", 1)
	forged := strings.Replace(mail, "Subject", "X-EXTERNAL: no\r\nSubject", 1)
	got := agenttest.Relay(t, "boss@example.com", to, forged, e.Agent())
	if got.Data != want {
		t.Errorf("from outside:\n%s", got.Data)
	}
	if again := agenttest.Relay(t, "a@example.org", to, got.Data, e.Agent()); again.Data != want {
		t.Errorf("a second time:\n%s", again.Data)
	}
	inside := smtpserver.Agent{Name: "inside", Helo: func(_ context.Context, s *smtpserver.Session, _ string) error {
		s.SetIdentity("alice")
		return nil
	}}
	if got := agenttest.Relay(t, "a@example.com", to, mail, inside, e.Agent()); got.Data != mail {
		t.Errorf("from inside:\n%s", got.Data)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []interface{ Validate() error }{
		&Inbound{Fields: []string{"*"}}, &Inbound{Fields: []string{"X-A: b"}}, &Outbound{Fields: []string{""}},
		&External{Header: "X A"}, &External{Subject: "a\r\nb"},
	} {
		if c.Validate() == nil {
			t.Errorf("%+v: no error", c)
		}
	}
	for _, c := range []interface{ Validate() error }{&Inbound{Fields: []string{"X-A-*", "X-B"}}, &Outbound{}, &External{}} {
		if err := c.Validate(); err != nil {
			t.Error(err)
		}
	}
}
