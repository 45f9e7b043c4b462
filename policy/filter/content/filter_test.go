package content_test

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/policy/filter/content"
	"github.com/bridgehead-mail/bridgehead/policy/internal/agenttest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const mail = "From: a@example.org\r\nSubject: hello\r\n\r\nbody\r\n"

// rate is an agent that gives each message these levels.
func rate(levels ...int) smtpserver.Agent {
	return smtpserver.Agent{Name: "rate", EndOfData: func(_ context.Context, s *smtpserver.Session, _ *smtpserver.Message) error {
		for _, l := range levels {
			content.Rate(s, l, "rate")
		}
		return nil
	}}
}

func TestFilterThresholds(t *testing.T) {
	f := &content.Filter{Mark: 4, Subject: "[SPAM] ", Quarantine: 6, QuarantineTo: "spam@example.com", Reject: 8}
	if err := f.Validate(); err != nil {
		t.Fatal(err)
	}
	stamp := func(n string) string {
		return strings.Replace(mail, "\r\n\r\n", "\r\nX-MS-Exchange-Organization-SCL: "+n+"\r\n\r\n", 1)
	}
	marked := func(n string) string {
		return strings.Replace(strings.Replace(stamp(n), "\r\n\r\n", "\r\nX-Spam-Flag: YES\r\n\r\n", 1), "hello", "[SPAM] hello", 1)
	}
	quarantined := func(n string) string {
		return strings.Replace(marked(n), "\r\n\r\n", "\r\nX-Quarantine-Recipient: <b@example.com>\r\nX-Quarantine-Recipient: <c@example.com>\r\n\r\n", 1)
	}
	to := []string{"b@example.com", "c@example.com"}
	for _, c := range []struct {
		levels []int
		data   string
		to     []string
	}{
		{nil, mail, to},
		{[]int{0}, stamp("0"), to},
		{[]int{3, 2}, stamp("3"), to},
		{[]int{4}, marked("4"), to},
		{[]int{5, -1, 9}, stamp("-1"), to},
		{[]int{7}, quarantined("7"), []string{"spam@example.com"}},
	} {
		got := agenttest.Relay(t, "a@example.org", to, mail, rate(c.levels...), f.Agent())
		if got.Data != c.data || !slices.Equal(got.To, c.to) {
			t.Errorf("levels %v: to %s\n%s\nwant\n%s", c.levels, got.To, got.Data, c.data)
		}
	}
	for _, l := range []int{8, 9, 100} {
		agenttest.Refused(t, 550, "a@example.org", to, mail, rate(l), f.Agent())
	}
}

// Filter removes a level that the sender wrote, in any spelling.
func TestForgedLevelsAreRemoved(t *testing.T) {
	forged := strings.Replace(mail, "Subject", "X-MS-Exchange-Organization-SCL: -1\r\nx-ms-exchange-organization-scl :\r\n\t-1\r\nX-SPAM-FLAG: NO\r\nSubject", 1)
	f := &content.Filter{}
	if got := agenttest.Relay(t, "a@example.org", []string{"b@example.com"}, forged, f.Agent()); got.Data != mail {
		t.Errorf("without a level:\n%s", got.Data)
	}
	got := agenttest.Relay(t, "a@example.org", []string{"b@example.com"}, forged, rate(5), f.Agent())
	if want := strings.Replace(mail, "\r\n\r\n", "\r\nX-MS-Exchange-Organization-SCL: 5\r\n\r\n", 1); got.Data != want {
		t.Errorf("with a level:\n%s", got.Data)
	}
}

// A rating is for one message, not for the session.
func TestRatingEndsWithTheMessage(t *testing.T) {
	first := true
	once := smtpserver.Agent{Name: "once", EndOfData: func(_ context.Context, s *smtpserver.Session, _ *smtpserver.Message) error {
		if first {
			content.Rate(s, 9, "once")
		}
		first = false
		return nil
	}}
	s := agenttest.Start(t, once, (&content.Filter{Reject: 9}).Agent())
	c := s.Dial(t)
	if code, _ := c.Send("a@example.org", []string{"b@example.com"}, mail); code != 550 {
		t.Errorf("the first: %d", code)
	}
	if code, _ := c.Send("a@example.org", []string{"b@example.com"}, mail); code != 250 || s.Accepted()[0].Data != mail {
		t.Errorf("the second: %d", code)
	}
}

func TestTrusts(t *testing.T) {
	f := &content.Filter{Reject: 5, Trusts: func(s *smtpserver.Session) bool { return s.Helo() == "client.example.org" }}
	got := agenttest.Relay(t, "a@example.org", []string{"b@example.com"}, mail, rate(9), f.Agent())
	if !strings.Contains(got.Data, "SCL: -1\r\n") {
		t.Errorf("%s", got.Data)
	}
}

// Filter removes X-Quarantine-Recipient fields that the sender wrote. Otherwise
// the sender could choose who gets the message when it is released.
func TestForgedQuarantineRecipient(t *testing.T) {
	f := &content.Filter{Quarantine: 5, QuarantineTo: "spam@example.com"}
	got := agenttest.Relay(t, "a@example.org", []string{"b@example.com"}, "x-quarantine-recipient : <boss@example.com>\r\n"+mail, rate(5), f.Agent())
	if strings.Contains(got.Data, "boss@") || strings.Count(got.Data, "X-Quarantine-Recipient: <b@example.com>\r\n") != 1 {
		t.Errorf("%s", got.Data)
	}
}

// A line that is not a field ends the header. A level after it is text of the
// body.
func TestLevelAfterTheEndOfTheHeaderIsBody(t *testing.T) {
	for _, hidden := range []string{"no field\r\nX-MS-Exchange-Organization-SCL: -1", "no field\r\nx-spam-flag : NO", "X-MS-Exchange-Organization-SCL\r\n : -1"} {
		got := agenttest.Relay(t, "a@example.org", []string{"b@example.com"}, "From: a\r\n"+hidden+"\r\n\r\nbody\r\n", rate(5), new(content.Filter).Agent())
		if !strings.HasSuffix(got.Data, "SCL: 5\r\n\r\n"+hidden+"\r\n\r\nbody\r\n") {
			t.Errorf("%q", got.Data)
		}
	}
}

func TestFilterValidate(t *testing.T) {
	for _, f := range []content.Filter{{Mark: 10}, {Reject: -1}, {Quarantine: 5}, {Quarantine: 5, QuarantineTo: "x"}, {Header: "A: b"}, {Header: "Ä"}, {Subject: "a\r\nb"}} {
		if f.Validate() == nil {
			t.Errorf("%+v: no error", f)
		}
	}
	// A filter that was not validated does not lose mail.
	agenttest.Refused(t, 451, "a@example.org", []string{"b@example.com"}, mail, rate(5), (&content.Filter{Quarantine: 5}).Agent())
}

func TestFromScore(t *testing.T) {
	for _, c := range []struct {
		score, spam float64
		want        int
	}{{-3, 5, 0}, {0, 5, 0}, {1, 5, 1}, {4.9, 5, 4}, {5, 5, 5}, {7.5, 5, 7}, {9, 5, 9}, {1000, 5, 9}, {15, 15, 5}, {3, 0, 0}, {math.Inf(1), 5, 9}, {math.Inf(-1), 5, 0}, {5, math.Inf(1), 0}, {math.Inf(1), math.Inf(1), 0}, {math.NaN(), 5, 0}} {
		if got := content.FromScore(c.score, c.spam); got != c.want {
			t.Errorf("FromScore(%v, %v) = %d, want %d", c.score, c.spam, got, c.want)
		}
	}
}
