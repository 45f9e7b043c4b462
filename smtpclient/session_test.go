package smtpclient

import (
	"strings"
	"testing"
	"testing/synctest"
)

// replies returns the script of a transaction with n recipients, b1@example.net
// and so on, and the host's replies.
func replies(n int, replies ...string) string {
	var b strings.Builder
	b.WriteString("C: MAIL FROM:<a@example.com>\n")
	b.WriteString(strings.Repeat("C: <any>\n", n+1)) // RCPT, DATA
	for _, r := range replies {
		b.WriteString("S: " + r + "\n")
	}
	return b.String()
}

const sent = "C: <content>\nS: 250 2.0.0 queued\n"

// A refusal of the transaction or the session does not decide about a recipient.
func TestRefusalsOfTheSession(t *testing.T) {
	const used = "deferred 451 4.5.0 mx1.example.net refused this session: "
	for _, tt := range []struct {
		name    string
		rcpts   int      // of each message
		scripts []string // of the connections, in order
		want    []string // what became of each message
	}{
		// Too many recipients.
		{"550 5.5.3 splits", 2, []string{ehlo + replies(2, "250 ok", "250 ok", "550 5.5.3 Too many recipients", "354 go") + sent + replies(1, "250 ok", "250 ok", "354 go") + sent + quit},
			[]string{queued + queued}},
		{"450 4.5.3 splits", 2, []string{ehlo + replies(2, "250 ok", "250 ok", "450 4.5.3 enough", "354 go") + sent + replies(1, "250 ok", "250 ok", "354 go") + sent + quit},
			[]string{queued + queued}},
		{"554 with a text that says so splits", 2, []string{ehlo + replies(2, "250 ok", "250 ok", "554 Too Many Recipients in this message", "354 go") + sent + replies(1, "250 ok", "250 ok", "354 go") + sent + quit},
			[]string{queued + queued}},
		{"another 550 does not", 2, []string{ehlo + replies(2, "250 ok", "250 ok", "550 5.7.1 no", "354 go") + sent + quit},
			[]string{queued + "failure 550 5.7.1 no [mx1.example.net]"}},
		{"550 5.5.3 to the first fails", 1, []string{ehlo + replies(1, "250 ok", "550 5.5.3 Too many recipients", "503 no") + quit},
			[]string{"failure 550 5.5.3 Too many recipients [mx1.example.net]"}},

		// 503 to RCPT and to DATA.
		{"503 after 451 defers", 3, []string{ehlo + replies(3, "250 ok", "451 4.7.1 greylisted", "503 5.5.1 need MAIL", "503 5.5.1 need MAIL", "503 5.5.1 need RCPT") + quit},
			[]string{strings.Repeat("deferred 451 4.7.1 greylisted [mx1.example.net]", 3)}},
		{"503 to DATA after 451 defers", 2, []string{ehlo + replies(2, "250 ok", "250 ok", "451 4.7.1 greylisted", "503 5.5.1 need MAIL") + quit},
			[]string{strings.Repeat("deferred 451 4.7.1 greylisted [mx1.example.net]", 2)}},
		{"503 after 550 goes into another transaction", 3, []string{ehlo + replies(3, "250 ok", "550 5.1.1 unknown", "503 5.5.1 need MAIL", "503 5.5.1 need MAIL", "503 5.5.1 need RCPT") +
			"C: RSET\n" + replies(1, "250 ok", "250 ok", "250 ok", "354 go") + sent + replies(1, "250 ok", "250 ok", "354 go") + sent + quit},
			[]string{"failure 550 5.1.1 unknown [mx1.example.net]" + queued + queued}},
		{"503 to the first fails", 1, []string{ehlo + replies(1, "250 ok", "503 5.5.1 who are you", "503 5.5.1 no") + quit},
			[]string{"failure 503 5.5.1 who are you [mx1.example.net]"}},
		{"503 to pipelined DATA: once more, one by one", 1, []string{ehlo + replies(1, "250 ok", "250 ok", "503 5.5.1 need RCPT") + quit,
			ehlo + strings.ReplaceAll(stepwise, "b@", "b1@") + quit}, []string{queued}},
		{"503 to DATA for good", 1, []string{ehlo + replies(1, "250 ok", "250 ok", "503 5.5.1 need RCPT") + quit,
			ehlo + "C: <any>\nS: 250 ok\nC: <any>\nS: 250 ok\nC: DATA\nS: 503 5.5.1 need RCPT" + quit},
			[]string{"failure 503 5.5.1 need RCPT [mx1.example.net]"}},
		{"503 to pipelined DATA, and no other session", 1, []string{ehlo + replies(1, "250 ok", "250 ok", "503 5.5.1 need RCPT") + quit},
			[]string{used + "503 need RCPT"}},

		// 5xx to MAIL on a kept session.
		{"503 to MAIL", 1, []string{ehlo + replies(1, "250 ok", "250 ok", "354 go") + sent + replies(1, "503 5.5.1 one message a session", "503 no", "503 no") + quit,
			ehlo + replies(1, "250 ok", "250 ok", "354 go") + sent + quit}, []string{queued, queued}},
		{"550 5.7.0 to MAIL", 1, []string{ehlo + replies(1, "250 ok", "250 ok", "354 go") + sent + replies(1, "550 5.7.0 too many messages", "503 no", "503 no") + quit,
			ehlo + replies(1, "250 ok", "250 ok", "354 go") + sent + quit}, []string{queued, queued}},
		{"554 to MAIL, and closed", 1, []string{ehlo + replies(1, "250 ok", "250 ok", "354 go") + sent + replies(1, "554 5.5.4 only one", "<close>"),
			ehlo + replies(1, "250 ok", "250 ok", "354 go") + sent + quit}, []string{queued, queued}},
		{"the same on the new session is a verdict", 1, []string{ehlo + replies(1, "250 ok", "250 ok", "354 go") + sent + replies(1, "550 5.7.1 not you", "503 no", "503 no") + quit,
			ehlo + replies(1, "550 5.7.1 not you", "503 no", "503 no") + quit}, []string{queued, "failure 550 5.7.1 not you [mx1.example.net]"}},
		{"no new session: not yet a verdict", 1, []string{ehlo + replies(1, "250 ok", "250 ok", "354 go") + sent + replies(1, "550 5.7.1 not you", "503 no", "503 no") + quit},
			[]string{queued, used + "550 not you"}},
		{"a bad sender is a verdict", 1, []string{ehlo + replies(1, "250 ok", "250 ok", "354 go") + sent + replies(1, "550 5.1.8 bad sender", "503 no", "503 no") + quit},
			[]string{queued, "failure 550 5.1.8 bad sender [mx1.example.net]"}},
		{"too large is a verdict", 1, []string{ehlo + replies(1, "250 ok", "250 ok", "354 go") + sent + replies(1, "552 5.3.4 too large", "503 no", "503 no") + quit},
			[]string{queued, "failure 552 5.3.4 too large [mx1.example.net]"}},
		{"RSET refused", 1, []string{ehlo + replies(1, "250 ok", "550 5.1.1 unknown", "503 no") + "C: RSET\n" + replies(1, "502 5.5.1 what?", "503 no", "503 no", "503 no") + quit,
			ehlo + replies(1, "250 ok", "250 ok", "354 go") + sent + quit}, []string{"failure 550 5.1.1 unknown [mx1.example.net]", queued}},
		{"RSET refused, but the message accepted", 1, []string{ehlo + replies(1, "250 ok", "550 5.1.1 unknown", "503 no") + "C: RSET\n" + replies(1, "550 5.7.1 no", "250 ok", "250 ok", "354 go") + "C: <eof>",
			ehlo + replies(1, "250 ok", "250 ok", "354 go") + sent + quit}, []string{"failure 550 5.1.1 unknown [mx1.example.net]", queued}},
		{"one message in a session, three transactions", 3, []string{
			ehlo + replies(3, "250 ok", "250 ok", "452 4.5.3 one", "452 4.5.3 one", "354 go") + sent + replies(1, "503 5.5.1 one message", "503 no", "503 no") + quit,
			ehlo + replies(2, "250 ok", "250 ok", "452 4.5.3 one", "354 go") + sent + replies(1, "503 5.5.1 one message", "503 no", "503 no") + quit,
			ehlo + replies(1, "250 ok", "250 ok", "354 go") + sent + quit}, []string{queued + queued + queued}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				n.buffered = true // a host that closes after a reply to MAIL says it first
				n.host("192.0.2.1:25", tt.scripts...)
				tr := n.transport()
				for _, want := range tt.want {
					rcpts := []string{"b1@example.net", "b2@example.net", "b3@example.net"}[:tt.rcpts]
					rs := tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", rcpts...))
					if got := strings.ReplaceAll(summary(rs), "\n", ""); got != want {
						t.Errorf("got %s\nwant %s", got, want)
					}
				}
			})
		})
	}
}

// Duplicate recipients are sent to a host once, and each gets the result.
func TestDuplicateRecipients(t *testing.T) {
	n := newNetwork(t)
	n.host("192.0.2.1:25", ehlo+`
		C: MAIL FROM:<a@example.com>
		C: RCPT TO:<b@example.net>
		C: RCPT TO:<B@example.net>
		C: RCPT TO:<c@xn--bcher-kva.example>
		C: DATA
		S: 250 ok
		S: 450 4.2.1 busy
		S: 550 5.1.1 unknown
		S: 250 ok
		S: 354 go
		C: <content>
		S: 250 2.0.0 queued`+quit)
	n.host("192.0.2.2:25", ehlo+one+quit)
	rs := n.transport().Send(t.Context(), to("192.0.2.1:25", "192.0.2.2:25"), mail("x\r\n",
		"b@example.net", "b@EXAMPLE.net", "B@example.net", "c@xn--bcher-kva.example", "b@example.net", "c@XN--bcher-kva.example"))
	expect(t, rs, `
		success 250 2.0.0 queued [mx2.example.net]
		success 250 2.0.0 queued [mx2.example.net]
		failure 550 5.1.1 unknown [mx1.example.net]
		success 250 2.0.0 queued [mx1.example.net]
		success 250 2.0.0 queued [mx2.example.net]
		success 250 2.0.0 queued [mx1.example.net]`)
}

// Recipients with different parameters are not duplicates.
func TestDuplicateRecipientsWithParameters(t *testing.T) {
	m := mail("x\r\n", "b@example.net", "b@example.net", "b@example.net")
	m.Recipients[1].Options.OriginalRecipient = "alias@example.net"
	const withORCPT = `
		C: MAIL FROM:<a@example.com>
		S: 250 ok
		C: RCPT TO:<b@example.net>
		S: 250 ok
		C: RCPT TO:<b@example.net> ORCPT=rfc822;alias@example.net
		S: 450 4.2.1 busy
		C: DATA
		S: 354 go
		C: <content>
		S: 250 2.0.0 queued`
	for _, tt := range []struct{ script, want string }{
		{extensions("DSN") + withORCPT, queued + "\ndeferred 450 4.2.1 busy [mx1.example.net]\n" + queued},
		{extensions("HELP") + stepwise, queued + "\n" + queued + "\n" + queued},
	} {
		n := newNetwork(t)
		n.host("192.0.2.1:25", tt.script+quit)
		tr := n.transport()
		expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), m), tt.want)
		tr.Close()
	}
}

// If the session fails after the end of data, duplicates are not sent to another
// host: the first host may have accepted the message for them.
func TestDuplicateRecipientsLost(t *testing.T) {
	n := newNetwork(t)
	n.host("192.0.2.1:25", ehlo+all+"S: <close>")
	const lost = "deferred 451 4.4.2 session with mx1.example.net failed: no valid reply to the end of data, the host may have accepted the message: ..."
	expect(t, n.transport().Send(t.Context(), to("192.0.2.1:25", "192.0.2.2:25"), mail("x\r\n", "b@example.net", "b@example.net")), lost+"\n"+lost)
	if len(n.dialled) != 1 {
		t.Errorf("dialled %v", n.dialled)
	}
}
