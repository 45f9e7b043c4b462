package smtpclient

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// offersETRN is the greeting of a host with ETRN.
const offersETRN = "S: 220 mx\nC: EHLO relay.example\nS: 250-mx\nS: 250-PIPELINING\nS: 250 ETRN\n"

// After the first message of a session, ETRN requests the held mail on the same
// connection. The second message does not request it again.
func TestRequestMail(t *testing.T) {
	n := newNetwork(t)
	n.host("192.0.2.1:25", offersETRN+one+"C: ETRN a.example\nS: 253 OK, 3 pending\nC: ETRN @b.example\nS: 459 not allowed\nC: ETRN #c\nS: 251 nothing\n"+one+quit)
	tr := n.transport()
	var log bytes.Buffer
	tr.Logger = slog.New(slog.NewTextHandler(&log, nil))
	tr.RequestMail = []string{"a.example", "@b.example", "#c"}
	for range 2 {
		expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net")), queued)
	}
	tr.Close()
	if !strings.Contains(log.String(), `msg="request of held mail failed"`) || !strings.Contains(log.String(), "not allowed") {
		t.Errorf("log:\n%s", log.String())
	}
}

// A host without ETRN is not asked. If the host closes instead of a reply, the message
// is delivered all the same, its result was passed on before, and the next message uses
// a new session.
func TestRequestMailFails(t *testing.T) {
	n := newNetwork(t)
	n.host("192.0.2.1:25", strings.Replace(offersETRN, "ETRN", "8BITMIME", 1)+one+quit)
	n.host("192.0.2.2:25", offersETRN+one+"C: ETRN a.example\n", offersETRN+one+"C: ETRN a.example\nS: 250 ok\n"+quit)
	tr := n.transport()
	tr.RequestMail = []string{"a.example"}
	expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net")), queued)
	tr.CloseIdle()
	for range 2 {
		told := 0
		m := mail("x\r\n", "b@example.net")
		m.Progress = func(rcpts []int, _ []Result) { told += len(rcpts) }
		expect(t, tr.Send(t.Context(), to("192.0.2.2:25"), m), queued)
		if told != 1 {
			t.Errorf("Progress was told of %d recipients before the request, want 1", told)
		}
	}
	tr.Close()
}

// A message that the host refuses is no reason against the request: the session works.
// A session that has broken requests nothing.
func TestRequestMailAfterRefusal(t *testing.T) {
	n := newNetwork(t)
	n.host("192.0.2.1:25", offersETRN+"C: MAIL FROM:<a@example.com>\nC: RCPT TO:<b@example.net>\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\nC: <content>\n")
	tr := n.transport()
	tr.RequestMail = []string{"a.example"}
	r := tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net"))
	if len(r) != 1 || r[0].Outcome != Deferred {
		t.Errorf("%+v", r)
	}
	tr.Close()
}
