package e2e

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/dsn"
)

const mimeHeader = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=%s\r\nContent-Transfer-Encoding: 8bit\r\n"

// sent8bit are messages with 8-bit bytes in all places that can have them. The
// first message has none.
var sent8bit = []struct {
	name, header, body string
	options            smtp.MailOptions
}{
	{name: "7-bit", body: "Hello\r\n"},
	{"UTF-8", fmt.Sprintf(mimeHeader, "utf-8"), "Grüße\r\n", smtp.MailOptions{Body: smtp.Body8BitMIME}},
	{"Latin-1", fmt.Sprintf(mimeHeader, "iso-8859-1"), "Gr\xfc\xdfe\r\n", smtp.MailOptions{Body: smtp.Body8BitMIME}},
	{"KOI8-R", fmt.Sprintf(mimeHeader, "koi8-r"), "\xf0\xd2\xc9\xd7\xc5\xd4\r\n", smtp.MailOptions{Body: smtp.Body8BitMIME}},
	{"not declared", fmt.Sprintf(mimeHeader, "utf-8"), "Grüße\r\n", smtp.MailOptions{}},
	{"no MIME", "", "Grüße\r\n", smtp.MailOptions{}},
	{"raw subject", "Subject: Grüße\r\n", "Hello\r\n", smtp.MailOptions{}},
	{"raw subject, Latin-1", "Subject: Gr\xfc\xdfe\r\n", "Hello\r\n", smtp.MailOptions{}},
	{"raw name", "Cc: Jörg <joerg@example.net>\r\n", "Hello\r\n", smtp.MailOptions{}},
	{"raw file name", "Content-Disposition: attachment; filename=\"Übersicht.txt\"\r\n", "Hello\r\n", smtp.MailOptions{}},
	{"only the header is wanted", "Subject: Grüße\r\n", "Hello\r\n", smtp.MailOptions{Return: smtp.DSNReturnHeaders}},
	{"with an envelope ID", fmt.Sprintf(mimeHeader, "utf-8"), "Grüße\r\n", smtp.MailOptions{Body: smtp.Body8BitMIME, EnvelopeID: "QQ314159"}},
	{"multipart", "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n",
		"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n--b--\r\n", smtp.MailOptions{Body: smtp.Body8BitMIME}},
	{"a message in a message", "MIME-Version: 1.0\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n", "Subject: Grüße\r\n\r\nGrüße\r\n", smtp.MailOptions{Body: smtp.Body8BitMIME}},
	{"HTML", "MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n", "<p>Grüße</p>\r\n", smtp.MailOptions{Body: smtp.Body8BitMIME}},
	{"long lines", fmt.Sprintf(mimeHeader, "utf-8"), strings.Repeat("ü", 499) + "\r\n", smtp.MailOptions{Body: smtp.Body8BitMIME}},
	{"long", fmt.Sprintf(mimeHeader, "utf-8"), strings.Repeat("Grüße an alle\r\n", 3000), smtp.MailOptions{Body: smtp.Body8BitMIME}},
	{"too long to be returned", "Subject: Grüße\r\n" + fmt.Sprintf(mimeHeader, "utf-8"), strings.Repeat("Grüße an alle\r\n", 5000), smtp.MailOptions{Body: smtp.Body8BitMIME}},
	{"a long raw field", "X-Words: " + strings.Repeat("Grüße ", 120) + "\r\n", "Hello\r\n", smtp.MailOptions{}},
	{"a lone dot and dashes", fmt.Sprintf(mimeHeader, "utf-8"), ".\r\n--=_\r\n\r\nGrüße\r\n", smtp.MailOptions{Body: smtp.Body8BitMIME}},
}

// A report arrives at a host without the extensions that the message used. (In an
// earlier version no report arrived for 57 of these 60 messages and for 10 of
// these 32.)
func TestReportsArriveAtOldHosts(t *testing.T) {
	t.Run("no 8BITMIME", func(t *testing.T) {
		var ms []*queue.Message
		for range 3 {
			for _, s := range sent8bit {
				ms = append(ms, newMessage("alice@example.com", s.header, s.body, s.options))
			}
		}
		arrive(t, ms, 60, "250-sink\r\n250-PIPELINING\r\n250 SIZE 0", false)
	})
	t.Run("no SMTPUTF8", func(t *testing.T) {
		international := smtp.MailOptions{Body: smtp.Body8BitMIME, UTF8: true}
		var ms []*queue.Message
		for i := range 10 {
			m := newMessage("alice@example.com", "Subject: Grüße\r\n", "Grüße\r\n", international)
			switch i {
			case 7:
				m.Recipients = queue.Rcpt("jörg@example.net")
			case 8:
				m.Recipients[0].Options.RcptOptions = smtp.RcptOptions{OriginalRecipientType: smtp.DSNAddressTypeUTF8, OriginalRecipient: "jörg@bücher.example"}
			case 9:
				m.Options.Return = smtp.DSNReturnHeaders
			}
			ms = append(ms, m)
		}
		for _, s := range sent8bit {
			ms = append(ms, newMessage("alice@example.com", s.header, s.body, s.options))
		}
		for range 2 { // SMTPUTF8 is declared but not needed
			ms = append(ms, newMessage("alice@example.com", "", "Hello\r\n", international))
		}
		arrive(t, ms, 32, "250-sink\r\n250-PIPELINING\r\n250 8BITMIME", true)
	})
}

func newMessage(from, header, body string, options smtp.MailOptions) *queue.Message {
	return &queue.Message{
		From: from, Options: queue.MessageOptions{MailOptions: options}, Recipients: queue.Rcpt("bob@example.net"),
		Content: queue.String("From: alice@example.com\r\nTo: bob@example.net\r\nMessage-ID: <1@example.com>\r\n" + header + "\r\n" + body),
	}
}

// arrive sends messages that are refused. It checks that the sender's host, which
// lacks extensions, gets a report about each.
func arrive(t *testing.T, ms []*queue.Message, n int, ehlo string, eightBit bool) {
	if len(ms) != n {
		t.Fatalf("%d messages, want %d", len(ms), n)
	}
	var mu sync.Mutex // guards mails
	var mails []string
	home := newFaultySink(t, func(stage, arg string) string {
		switch stage {
		case "EHLO":
			return ehlo
		case "MAIL":
			mu.Lock()
			mails = append(mails, arg)
			mu.Unlock()
		}
		return ""
	})
	out := newFaultySink(t, func(stage, arg string) string {
		switch stage {
		case "EHLO":
			return "250-sink\r\n250-PIPELINING\r\n250-SMTPUTF8\r\n250 8BITMIME"
		case "RCPT":
			return "550 5.1.1 No such user: " + arg
		}
		return ""
	})
	r := startRelay(t, relayConfig{smartHost: out.addr, home: home.addr})
	var want []string
	for _, m := range ms {
		for _, rc := range m.Recipients {
			want = append(want, rc.Addr)
		}
		must(t, r.queue.Submit(t.Context(), m))
	}
	peers.Await(t, "the reports", func() bool { return len(home.received()) >= n && r.waiting(t) == 0 })
	var got []string
	for _, m := range home.received() {
		report, err := dsn.Parse(bytes.NewReader(m.data))
		if err != nil {
			t.Errorf("%v\n%s", err, m.data)
			continue
		}
		rc := report.Recipients[0]
		got = append(got, rc.Final)
		if m.from != "" || len(m.to) != 1 || m.to[0] != "alice@example.com" || rc.Diagnostic != "550 5.1.1 No such user: "+rc.Final || rc.Status != (smtp.EnhancedCode{5, 1, 1}) {
			t.Errorf("from %q to %q: %+v", m.from, m.to, rc)
		}
		if id, _ := dsn.IDAndSubject(report.Original); id != "<1@example.com>" {
			t.Errorf("the original's Message-ID is %q", id)
		}
		if i := bytes.IndexFunc(m.data, func(r rune) bool { return r > 127 }); i >= 0 && !eightBit {
			t.Errorf("8-bit content at %d", i)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) || r.waiting(t) != 0 {
		t.Errorf("%d of %d senders got a report, %d messages are left", len(got), n, r.waiting(t))
	}
	for _, arg := range mails {
		if strings.Contains(arg, "SMTPUTF8") || !eightBit && strings.Contains(arg, "BODY") {
			t.Errorf("MAIL %s", arg)
		}
	}
}

// A real Postfix without 8BITMIME and SMTPUTF8 accepts the reports too.
func TestReportsArriveAtPostfix(t *testing.T) {
	postfix := (&peers.Postfix{Domains: "example.com", Main: "smtpd_discard_ehlo_keywords = 8bitmime, smtputf8\nstrict_8bitmime = yes"}).Start(t)
	out := newFaultySink(t, func(stage, arg string) string {
		switch stage {
		case "EHLO":
			return "250-sink\r\n250-SMTPUTF8\r\n250 8BITMIME"
		case "RCPT":
			return "550 5.1.1 Kein Empfänger"
		}
		return ""
	})
	r := startRelay(t, relayConfig{smartHost: out.addr, home: postfix.Addr})
	for _, o := range []smtp.MailOptions{{Body: smtp.Body8BitMIME}, {Body: smtp.Body8BitMIME, UTF8: true}} {
		must(t, r.queue.Submit(t.Context(), newMessage("alice@example.com", "Subject: Grüße\r\n"+fmt.Sprintf(mimeHeader, "utf-8"), "Grüße\r\n", o)))
		m := postfix.Next(t)
		for _, want := range []string{"Return-Path: <>\n", "X-Original-To: alice@example.com\n", "Final-Recipient: rfc822; bob@example.net\n",
			"Diagnostic-Code: smtp; 550 5.1.1 Kein Empf\\x{E4}nger\n", "Subject: Gr=C3=BC=C3=9Fe\n"} {
			if !strings.Contains(m, want) {
				t.Errorf("lacks %q:\n%s", want, m)
			}
		}
	}
}

// A report about a decision of this relay does not name a remote host.
func TestReportOnOwnDecision(t *testing.T) {
	old := newFaultySink(t, func(stage, arg string) string {
		if stage == "EHLO" {
			return "250-sink\r\n250 PIPELINING"
		}
		return ""
	})
	r := startRelay(t, relayConfig{smartHost: old.addr})
	must(t, r.queue.Submit(t.Context(), newMessage("alice@example.com", fmt.Sprintf(mimeHeader, "utf-8"), "Grüße\r\n", smtp.MailOptions{Body: smtp.Body8BitMIME})))
	peers.Await(t, "a report", func() bool { return len(old.received()) > 0 })
	report, err := dsn.Parse(bytes.NewReader(old.received()[0].data))
	must(t, err)
	rc := report.Recipients[0]
	if rc.RemoteMTA != "" || rc.Diagnostic != "" || !strings.Contains(rc.Reason, "does not support 8-bit content") || rc.Status != (smtp.EnhancedCode{5, 6, 3}) {
		t.Errorf("%+v", rc)
	}
}
