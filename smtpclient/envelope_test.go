package smtpclient

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// extensions returns the script of the greeting of a host with these EHLO keywords.
func extensions(keywords ...string) string {
	b := "S: 220 mx\nC: EHLO relay.example\n"
	for _, k := range keywords {
		b += "S: 250-" + k + "\n"
	}
	return strings.Replace(b+"S: 250 HELP\n", "S: 250-", "S: 250-mx\nS: 250-", 1)
}

func ptr[T any](v T) *T { return &v }

// A parameter is sent only if the host announced it and the message has it. If the
// message requires an extension that the host lacks, it fails.
func TestParameters(t *testing.T) {
	everything := []string{"SIZE 1000", "8BITMIME", "SMTPUTF8", "DSN", "MT-PRIORITY STANAG4406", "DELIVERBY 60", "RRVS"}
	for _, tt := range []struct {
		name       string
		extensions []string
		change     func(*Message)
		text       string
		mail, rcpt string // the commands; empty: none, but want
		want       string
	}{
		{name: "no extensions", extensions: []string{"HELP"}, mail: "MAIL FROM:<a@example.com>", rcpt: "RCPT TO:<b@example.net>"},
		{name: "null reverse-path", extensions: []string{"HELP"}, change: func(m *Message) { m.From = "" }, mail: "MAIL FROM:<>", rcpt: "RCPT TO:<b@example.net>"},
		{name: "SIZE", extensions: []string{"SIZE"}, mail: "MAIL FROM:<a@example.com> SIZE=17", rcpt: "RCPT TO:<b@example.net>"},
		{name: "too large", extensions: []string{"SIZE 16"},
			want: "failure 552 5.3.4 message of 17 octets exceeds the limit of mx1.example.net, 16 octets"},

		{name: "8BITMIME", extensions: []string{"8BITMIME"}, change: body(smtp.Body8BitMIME), text: "Subject: x\r\n\r\nü\r\n",
			mail: "MAIL FROM:<a@example.com> BODY=8BITMIME", rcpt: "RCPT TO:<b@example.net>"},
		{name: "declared 8-bit but 7-bit, to a 7-bit host", extensions: []string{"HELP"}, change: body(smtp.Body8BitMIME),
			mail: "MAIL FROM:<a@example.com>", rcpt: "RCPT TO:<b@example.net>"},
		{name: "8-bit to a 7-bit host", extensions: []string{"HELP"}, change: body(smtp.Body8BitMIME), text: "Subject: x\r\n\r\nü\r\n",
			want: "failure 554 5.6.3 mx1.example.net does not support 8-bit content (8BITMIME), and conversion would break signatures"},
		{name: "undeclared 8-bit passes as it came", extensions: []string{"HELP"}, text: "Subject: x\r\n\r\nü\r\n",
			mail: "MAIL FROM:<a@example.com>", rcpt: "RCPT TO:<b@example.net>"},
		{name: "BINARYMIME without CHUNKING", extensions: []string{"BINARYMIME"}, change: body(smtp.BodyBinaryMIME), text: "Subject: x\r\n\r\n\x00\r\n",
			want: "failure 554 5.6.3 mx1.example.net does not support binary content (BINARYMIME)"},

		{name: "binary that is text, to an 8-bit host", extensions: []string{"8BITMIME"}, change: body(smtp.BodyBinaryMIME),
			mail: "MAIL FROM:<a@example.com> BODY=8BITMIME", rcpt: "RCPT TO:<b@example.net>"},
		{name: "binary that is text, to a 7-bit host", extensions: []string{"HELP"}, change: body(smtp.BodyBinaryMIME),
			mail: "MAIL FROM:<a@example.com>", rcpt: "RCPT TO:<b@example.net>"},
		{name: "binary that is 8-bit text, to a 7-bit host", extensions: []string{"HELP"}, change: body(smtp.BodyBinaryMIME), text: "Subject: x\r\n\r\nü\r\n",
			want: "failure 554 5.6.3 mx1.example.net does not support 8-bit content (8BITMIME), and conversion would break signatures"},

		{name: "SMTPUTF8", extensions: []string{"SMTPUTF8"}, change: func(m *Message) { m.Options.UTF8, m.From = true, "jörg@bücher.example" },
			mail: "MAIL FROM:<jörg@bücher.example> SMTPUTF8", rcpt: "RCPT TO:<b@example.net>"},
		{name: "SMTPUTF8 by its addresses", extensions: []string{"SMTPUTF8"}, change: func(m *Message) { m.Recipients[0].Addr = "jörg@example.net" },
			mail: "MAIL FROM:<a@example.com> SMTPUTF8", rcpt: "RCPT TO:<jörg@example.net>"},
		{name: "SMTPUTF8 that needs none", extensions: []string{"HELP"}, change: func(m *Message) { m.Options.UTF8 = true },
			mail: "MAIL FROM:<a@example.com>", rcpt: "RCPT TO:<b@example.net>"},
		{name: "domains become A-labels", extensions: []string{"HELP"}, change: func(m *Message) {
			m.Options.UTF8, m.From, m.Recipients[0].Addr = true, "a@bücher.example", "b@straße.example"
		}, mail: "MAIL FROM:<a@xn--bcher-kva.example>", rcpt: "RCPT TO:<b@xn--strae-oqa.example>"},
		{name: "reverse-path needs SMTPUTF8", extensions: []string{"HELP"}, change: func(m *Message) { m.Options.UTF8, m.From = true, "jörg@example.com" },
			want: "failure 553 5.6.7 reverse-path needs SMTPUTF8, which mx1.example.net does not support"},
		{name: "forward-path needs SMTPUTF8", extensions: []string{"HELP"}, change: func(m *Message) { m.Recipients[0].Addr = "jörg@example.net" },
			want: "failure 553 5.6.7 address needs SMTPUTF8, which mx1.example.net does not support"},
		{name: "header needs SMTPUTF8", extensions: []string{"8BITMIME"}, change: func(m *Message) { m.Options.UTF8 = true }, text: "Subject: ü\r\n\r\nx\r\n",
			want: "failure 554 5.6.9 message header needs SMTPUTF8, which mx1.example.net does not support"},
		{name: "only the body has UTF-8", extensions: []string{"8BITMIME"}, change: func(m *Message) { m.Options.UTF8, m.Options.Body = true, smtp.Body8BitMIME }, text: "Subject: x\r\n\r\nü\r\n",
			mail: "MAIL FROM:<a@example.com> BODY=8BITMIME", rcpt: "RCPT TO:<b@example.net>"},

		{name: "DSN", extensions: []string{"DSN"}, change: func(m *Message) {
			m.Options.Return, m.Options.EnvelopeID = smtp.DSNReturnHeaders, "QQ+1 2"
			m.Recipients[0].Options.RcptOptions = smtp.RcptOptions{Notify: []smtp.DSNNotify{smtp.DSNNotifySuccess, smtp.DSNNotifyDelayed}, OriginalRecipientType: smtp.DSNAddressTypeRFC822, OriginalRecipient: "b+c@example.org"}
		}, mail: "MAIL FROM:<a@example.com> RET=HDRS ENVID=QQ+2B1+202", rcpt: "RCPT TO:<b@example.net> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+2Bc@example.org"},
		{name: "DSN, utf-8 address", extensions: []string{"DSN"}, change: func(m *Message) {
			m.Recipients[0].Options.RcptOptions = smtp.RcptOptions{OriginalRecipientType: smtp.DSNAddressTypeUTF8, OriginalRecipient: "jörg@example.org"}
		}, mail: "MAIL FROM:<a@example.com>", rcpt: `RCPT TO:<b@example.net> ORCPT=utf-8;j\x{F6}rg@example.org`},
		{name: "DSN, longer than RFC 3461 allows", extensions: []string{"DSN"}, change: func(m *Message) {
			m.Options.EnvelopeID = strings.Repeat("e", 101)
			m.Recipients[0].Options.RcptOptions = smtp.RcptOptions{OriginalRecipient: strings.Repeat("b", 500) + "@example.org"}
		}, mail: "MAIL FROM:<a@example.com>", rcpt: "RCPT TO:<b@example.net>"},
		{name: "DSN not announced", extensions: []string{"HELP"}, change: func(m *Message) {
			m.Options.Return, m.Options.EnvelopeID = smtp.DSNReturnHeaders, "QQ"
			m.Recipients[0].Options.RcptOptions = smtp.RcptOptions{Notify: []smtp.DSNNotify{smtp.DSNNotifyNever}, OriginalRecipient: "b@example.org"}
		}, mail: "MAIL FROM:<a@example.com>", rcpt: "RCPT TO:<b@example.net>"},

		{name: "REQUIRETLS without TLS", extensions: []string{"REQUIRETLS"}, change: func(m *Message) { m.Options.RequireTLS = true },
			want: "failure 550 5.7.30 REQUIRETLS support required: mx1.example.net does not offer it, or its certificate does not prove its name"},
		{name: "MT-PRIORITY", extensions: []string{"MT-PRIORITY"}, change: func(m *Message) { m.Options.Priority = -3 },
			mail: "MAIL FROM:<a@example.com> MT-PRIORITY=-3", rcpt: "RCPT TO:<b@example.net>"},
		{name: "DELIVERBY", extensions: []string{"DELIVERBY"}, change: deliverBy(120*time.Second, smtp.DeliverByReturn),
			mail: "MAIL FROM:<a@example.com> BY=120;R", rcpt: "RCPT TO:<b@example.net>"},
		{name: "DELIVERBY overdue, notify", extensions: []string{"DELIVERBY"}, change: deliverBy(-5*time.Second, smtp.DeliverByNotify),
			mail: "MAIL FROM:<a@example.com> BY=-5;N", rcpt: "RCPT TO:<b@example.net>"},
		{name: "DELIVERBY return, not announced", extensions: []string{"HELP"}, change: deliverBy(time.Minute, smtp.DeliverByReturn),
			want: "failure 550 5.3.3 mx1.example.net does not support DELIVERBY"},
		{name: "DELIVERBY return, overdue", extensions: []string{"DELIVERBY"}, change: deliverBy(0, smtp.DeliverByReturn),
			want: "failure 550 5.4.7 delivery time expired"},
		{name: "AUTH= from the unauthenticated", extensions: []string{"AUTH PLAIN"}, change: func(m *Message) { m.Options.Auth = ptr("a@example.com") },
			mail: "MAIL FROM:<a@example.com>", rcpt: "RCPT TO:<b@example.net>"},
		{name: "RRVS", extensions: []string{"RRVS"}, change: func(m *Message) {
			m.Recipients[0].Options.RequireRecipientValidSince = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		}, mail: "MAIL FROM:<a@example.com>", rcpt: "RCPT TO:<b@example.net> RRVS=2026-01-02T03:04:05Z"},
		{name: "everything at once", extensions: everything, change: func(m *Message) {
			m.Options.MailOptions = smtp.MailOptions{Body: smtp.Body8BitMIME, UTF8: true, Return: smtp.DSNReturnFull, EnvelopeID: "e", Auth: ptr("")}
			m.Options.Priority, m.DeliverBy = 4, &smtp.DeliverByOptions{Time: time.Hour, Mode: smtp.DeliverByNotify, Trace: true}
		}, mail: "MAIL FROM:<a@example.com> SIZE=17 BODY=8BITMIME SMTPUTF8 RET=FULL ENVID=e MT-PRIORITY=4 BY=3600;NT", rcpt: "RCPT TO:<b@example.net>"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNetwork(t)
			script := extensions(tt.extensions...)
			if tt.mail != "" {
				script += fmt.Sprintf("C: %s\nS: 250 ok\nC: %s\nS: 250 ok\nC: DATA\nS: 354 go ahead\nC: <content>\nS: 250 2.0.0 queued\n", tt.mail, tt.rcpt)
				tt.want = queued
			}
			n.host("192.0.2.1:25", script+quit)
			m := mail(or(tt.text, "Subject: x\r\n\r\nx\r\n"), "b@example.net")
			if tt.change != nil {
				tt.change(m)
			}
			expect(t, n.transport().Send(t.Context(), to("192.0.2.1:25"), m), tt.want)
		})
	}
}

// Send8Bit is for hosts behind a firewall that hides their extensions.
func TestSend8Bit(t *testing.T) {
	n := newNetwork(t)
	n.host("192.0.2.1:25", "S: 220 ********\nC: EHLO relay.example\nS: 250 OK"+stepwise+quit)
	tr := n.transport()
	tr.Send8Bit = true
	m := mail("Subject: x\r\n\r\nü\r\n", "b@example.net")
	m.Options.Body = smtp.Body8BitMIME
	expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), m), queued)
	if n.content[0] != "Subject: x\r\n\r\nü\r\n" {
		t.Errorf("content %q", n.content[0])
	}
}

func body(b smtp.BodyType) func(*Message) { return func(m *Message) { m.Options.Body = b } }

func deliverBy(d time.Duration, mode smtp.DeliverByMode) func(*Message) {
	return func(m *Message) { m.DeliverBy = &smtp.DeliverByOptions{Time: d, Mode: mode} }
}

// Many recipients are sent in batches of limited size, and in transactions of at
// most MaxRecipients.
func TestManyRecipients(t *testing.T) {
	n := newNetwork(t)
	var rcpts []string
	for i := range 450 {
		rcpts = append(rcpts, fmt.Sprintf("recipient-number-%03d@a-rather-long-domain-name.example.net", i))
	}
	script := "S: 220 mx\nC: EHLO relay.example\nS: 250-mx\nS: 250 PIPELINING\n"
	for _, part := range [][]string{rcpts[:200], rcpts[200:400], rcpts[400:]} {
		script += "C: MAIL FROM:<a@example.com>\nS: 250 ok\n"
		for range part {
			script += "C: <any>\nS: 250 ok\n"
		}
		script += "C: DATA\nS: 354 go ahead\nC: <content>\nS: 250 2.0.0 queued\n"
	}
	n.host("192.0.2.1:25", script+quit)
	n.buffered = true
	tr := n.transport()
	tr.MaxRecipients = 200
	for i, r := range tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", rcpts...)) {
		if r.Outcome != Success {
			t.Fatalf("recipient %d: %+v", i, r)
		}
	}
}
