package dsn_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/queue/dsn"
)

var day = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

const original = "From: alice@example.com\r\nSubject: Lunch\r\nMessage-ID: <42@example.com>\r\n\r\nAt noon?\r\n"

// reports returns one report of each kind. The tests below, Python's email
// package and flufl.bounce read them.
func reports() map[string]*dsn.Report {
	base := func(rcpts ...dsn.Recipient) *dsn.Report {
		return &dsn.Report{
			To: "alice@example.com", ReportingMTA: "relay.example.com", Date: day, MessageID: "r1@relay.example.com",
			ReceivedFrom: "client.example.com", EnvelopeID: "QQ314159", Arrival: day.Add(-time.Hour),
			Recipients: rcpts, Original: content.Of([]byte(original)),
		}
	}
	failed := dsn.Recipient{
		Original: "bob@example.net", Final: "robert@mail.example.net", Action: dsn.Failed, Status: smtp.EnhancedCode{5, 1, 1},
		RemoteMTA: "mx.example.net", Diagnostic: "550 5.1.1 No such user here", LastAttempt: day,
	}
	expired := dsn.Recipient{
		Final: "carol@example.org", Action: dsn.Failed, Status: smtp.EnhancedCode{4, 4, 7},
		Reason: "connect to mx.example.org: connection refused", LastAttempt: day,
	}
	delayed := dsn.Recipient{
		Final: "dave@example.org", Action: dsn.Delayed, Status: smtp.EnhancedCode{4, 4, 1},
		Reason: "no answer", LastAttempt: day, RetryUntil: day.Add(36 * time.Hour),
	}
	relayed := dsn.Recipient{Final: "erin@example.org", Action: dsn.Relayed, Status: smtp.EnhancedCode{2, 0, 0}, RemoteMTA: "mx.example.org", Diagnostic: "250 2.0.0 Ok"}
	jörg := dsn.Recipient{
		Original: "jörg@bücher.example", OriginalType: smtp.DSNAddressTypeUTF8,
		Final: "jörg@bücher.example", Action: dsn.Failed, Status: smtp.EnhancedCode{5, 1, 1}, RemoteMTA: "mx.example", Diagnostic: "550 5.1.1 unbekannter Empfänger",
	}
	nullMX := dsn.Recipient{
		Final: "frank@null.example", Action: dsn.Failed, Status: smtp.EnhancedCode{5, 1, 10},
		Reason: "null.example: the domain accepts no mail (null MX)", LastAttempt: day,
	}
	cyrillic := failed
	cyrillic.Diagnostic = "550 5.1.1 Почтовый ящик не найден"
	m := map[string]*dsn.Report{
		"failed":        base(failed),
		"two":           base(failed, expired),
		"delayed":       base(delayed),
		"relayed":       base(relayed),
		"utf8 address":  base(jörg),
		"utf8 to utf8":  base(jörg),
		"null MX":       base(nullMX),
		"reply in utf8": base(cyrillic),
		"headers":       base(failed),
		"utf8 headers":  base(failed),
		"sender utf8":   base(failed),
		"binary":        base(failed),
		"long original": base(failed),
		"eight bit":     base(failed),
		"hostile":       base(failed),
	}
	m["utf8 to utf8"].UTF8 = true
	m["utf8 to utf8"].To = "chloé@example.com"
	m["headers"].HeaderOnly = true
	m["utf8 headers"].HeaderOnly = true
	m["utf8 headers"].Original = content.Of([]byte("Subject: Grüße\r\nMessage-ID: <42@example.com>\r\n\r\nGrüße\r\n"))
	m["sender utf8"].To = "chloé@bücher.example"
	m["binary"].Original = content.Of([]byte(original), []byte("a\x00b\nc\r\n"))
	m["long original"].Original = content.Of([]byte(original), bytes.Repeat([]byte("0123456789\r\n"), 10000))
	m["eight bit"].Original = content.Of([]byte("Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n"))
	m["hostile"].Recipients = []dsn.Recipient{{
		Final: "bob@example.net", Action: dsn.Failed, Status: smtp.EnhancedCode{5, 7, 1}, RemoteMTA: "mx\r\nX-Evil: 1",
		Diagnostic: "550 5.7.1 no\r\nFinal-Recipient: rfc822; victim@example.net\r\n\r\n--=_boundary " + strings.Repeat("blah \x00\xff", 400),
	}}
	return m
}

func text(t testing.TB, r *dsn.Report) string {
	t.Helper()
	c, _, err := r.Content()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if _, err := c.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestContent(t *testing.T) {
	all := reports()
	for _, test := range []struct {
		name        string
		has, hasNot []string
	}{
		{"failed", []string{
			"From: Mail Delivery System <postmaster@relay.example.com>\r\n", "To: <alice@example.com>\r\n", "Subject: Undeliverable: Lunch\r\n",
			"Auto-Submitted: auto-replied\r\n", "In-Reply-To: <42@example.com>\r\n",
			"report-type=delivery-status", "Original-Envelope-Id: QQ314159\r\n", "Reporting-MTA: dns; relay.example.com\r\n",
			"Received-From-MTA: dns; client.example.com\r\n", "Arrival-Date: Sat, 21 Nov 2026 11:00:00 +0000\r\n",
			"\r\n\r\nOriginal-Recipient: rfc822; bob@example.net\r\nFinal-Recipient: rfc822; robert@mail.example.net\r\nAction: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; mx.example.net\r\nDiagnostic-Code: smtp; 550 5.1.1 No such user here\r\nLast-Attempt-Date: Sat, 21 Nov 2026 12:00:00 +0000\r\n",
			"Content-Type: message/rfc822\r\n", "At noon?", "The address does not exist at the recipient's mail system.", "mx.example.net said:\r\n      550 5.1.1 No such user here",
		}, []string{"Content-Transfer-Encoding: 8bit", "Will-Retry-Until"}},
		{"two", []string{"Final-Recipient: rfc822; carol@example.org\r\nAction: failed\r\nStatus: 4.4.7\r\n", "within the time limit", "Reason: connect to mx.example.org", "Diagnostic-Code: X-Bridgehead; connect to mx.example.org: connection refused\r\n"}, []string{"Diagnostic-Code: smtp; connect"}},
		{"null MX", []string{"Diagnostic-Code: X-Bridgehead; null.example: the domain accepts no mail\r\n (null MX)\r\n"}, nil},
		{"reply in utf8", []string{"Diagnostic-Code: smtp; 550 5.1.1\r\n \\x{41F}\\x{43E}\\x{447}"}, []string{"????", "8bit"}},
		{"delayed", []string{"Subject: Delayed: Lunch", "Action: delayed\r\n", "Will-Retry-Until: Mon, 23 Nov 2026 00:00:00 +0000", "You do not need to send it again"}, nil},
		{"relayed", []string{"Action: relayed\r\nStatus: 2.0.0\r\n", "passed on"}, nil},
		{"utf8 address", []string{"Final-Recipient: utf-8; j\\x{F6}rg@b\\x{FC}cher.example\r\n", "message/delivery-status", "unbekannter Empf\\x{E4}nger"}, []string{"global"}},
		{"utf8 to utf8", []string{"Final-Recipient: utf-8; jörg@bücher.example\r\n", "message/global-delivery-status", "Content-Type: message/global\r\n", "To: <chloé@example.com>", "unbekannter Empfänger\r\n", "Content-Transfer-Encoding: 8bit\r\n\r\nThis is a delivery"}, nil},
		{"utf8 headers", []string{"Content-Type: text/rfc822-headers; charset=utf-8\r\n", "Content-Transfer-Encoding: quoted-printable\r\n\r\nSubject: Gr=C3=BC=C3=9Fe\r\nMessage-ID: <42@example.com>\r\n"}, []string{"8bit"}},
		{"sender utf8", []string{"To: =?utf-8?q?chlo=C3=A9@b=C3=BCcher.example?= :;\r\n"}, nil},
		{"binary", []string{"Content-Type: text/rfc822-headers\r\n"}, []string{"At noon?", "\x00"}},
		{"headers", []string{"Content-Type: text/rfc822-headers\r\n", "Subject: Lunch\r\n"}, []string{"At noon?", "Content-Type: message/rfc822\r\n"}},
		{"long original", []string{"Content-Type: text/rfc822-headers\r\n", "Message-ID: <42@example.com>\r\n"}, []string{"0123456789"}},
		{"eight bit", []string{"Content-Type: message/rfc822\r\nContent-Description: Undelivered message\r\nContent-Transfer-Encoding: 8bit\r\n", "=?utf-8?q?Undeliverable:_Gr=C3=BC=C3=9Fe?=", "Content-Transfer-Encoding: 8bit\r\n\r\nThis is a delivery"}, nil},
		{"hostile", []string{"Remote-MTA: dns; mx  X-Evil: 1\r\n"}, []string{"\r\nX-Evil", "\r\nFinal-Recipient: rfc822; victim", "\r\n--=_boundary", "\x00"}},
	} {
		got := text(t, all[test.name])
		for _, s := range test.has {
			if !strings.Contains(got, s) {
				t.Errorf("%s: lacks %q:\n%s", test.name, s, got)
			}
		}
		for _, s := range test.hasNot {
			if strings.Contains(got, s) {
				t.Errorf("%s: has %q:\n%s", test.name, s, got)
			}
		}
		for line := range strings.SplitSeq(strings.TrimSuffix(got, "\r\n"), "\r\n") {
			if strings.ContainsAny(line, "\r\n") || len(line) > 998 {
				t.Errorf("%s: a line with a bare CR or LF, or of %d bytes: %.80q", test.name, len(line), line)
			}
		}
	}
}

// A report needs 8BITMIME if and only if it has bytes above 127.
func TestEightBit(t *testing.T) {
	for name, r := range reports() {
		c, eight, err := r.Content()
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, c.Size())
		c.ReadAt(b, 0)
		has := bytes.ContainsFunc(b, func(r rune) bool { return r > 127 })
		if has != eight {
			t.Errorf("%s: eightBit %v, has such bytes: %v", name, eight, has)
		}
	}
}

// Parse reads the reports that Content writes.
func TestParseOwnReports(t *testing.T) {
	for name, want := range reports() {
		if name == "hostile" {
			continue
		}
		got, err := dsn.Parse(strings.NewReader(text(t, want)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got.ReportingMTA != want.ReportingMTA || got.EnvelopeID != want.EnvelopeID || !got.Arrival.Equal(want.Arrival) ||
			got.To != want.To || got.MessageID != want.MessageID || len(got.Recipients) != len(want.Recipients) || got.UTF8 != want.UTF8 {
			t.Errorf("%s: %+v\nwant %+v", name, got, want)
			continue
		}
		for i, w := range want.Recipients {
			g := got.Recipients[i]
			if g.Final != w.Final || g.Original != w.Original || g.Action != w.Action || g.Status != w.Status ||
				g.RemoteMTA != w.RemoteMTA || g.Diagnostic != w.Diagnostic || g.Reason != w.Reason || !g.LastAttempt.Equal(w.LastAttempt) || !g.RetryUntil.Equal(w.RetryUntil) {
				t.Errorf("%s: recipient %+v\nwant %+v", name, g, w)
			}
		}
		if got.Original == nil {
			t.Errorf("%s: no original", name)
		}
		if got.Subject == "" || !strings.Contains(got.Text, "This report was written by the mail system at relay.example.com.") || got.Texts.Language != "en" {
			t.Errorf("%s: subject %q, language %q, text:\n%s", name, got.Subject, got.Texts.Language, got.Text)
		}
	}
}

func TestParseOtherSystems(t *testing.T) {
	const postfix = "From: MAILER-DAEMON@mx.example.net (Mail Delivery System)\r\nTo: alice@example.com\r\n" +
		"Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"B\"\r\n\r\n--B\r\nContent-Type: text/plain\r\n\r\nx\r\n" +
		"--B\r\nContent-Type: message/delivery-status\r\n\r\n%s\r\n--B--\r\n"
	for _, test := range []struct {
		name, status, want string
		err                string
	}{
		{"comment after the action and folded diagnostics",
			"Reporting-MTA: dns; mx.example.net\r\nX-Postfix-Queue-ID: 1\r\n\r\nFinal-Recipient: rfc822; bob@example.net\r\nAction: failed (no way)\r\nStatus: 5.1.1 (no user)\r\nDiagnostic-Code: smtp; 550 a\r\n    b\r\n",
			"bob@example.net failed 5.1.1 550 a b", ""},
		{"angle brackets, LF line ends",
			"Reporting-MTA: x\n\nFinal-Recipient: RFC822; <bob@example.net>\nAction: Failed\nStatus: 5.0.0\n",
			"bob@example.net failed 5.0.0 ", ""},
		{"no recipient", "Reporting-MTA: dns; mx\r\n", "", "the report has no recipient"},
		{"no action", "Reporting-MTA: dns; mx\r\n\r\nFinal-Recipient: rfc822; b@c\r\nStatus: 5.0.0\r\n", "", "recipient 1: field Action"},
		{"odd status", "Reporting-MTA: dns; mx\r\n\r\nFinal-Recipient: rfc822; b@c\r\nAction: failed\r\nStatus: 5.x\r\n", "", `field Status: "5.x"`},
		{"no fields", "what is this\r\n", "", "not a header field"},
	} {
		r, err := dsn.Parse(strings.NewReader(strings.Replace(postfix, "%s", test.status, 1)))
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%s: %v, want %q", test.name, err, test.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		rc := r.Recipients[0]
		if got := fmt.Sprintf("%s %s %d.%d.%d %s", rc.Final, rc.Action, rc.Status[0], rc.Status[1], rc.Status[2], rc.Diagnostic); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	if _, err := dsn.Parse(strings.NewReader(original)); !errors.Is(err, dsn.ErrNotReport) {
		t.Errorf("an ordinary message: %v", err)
	}
}

// Texts can be replaced, by language and by status code.
func TestTexts(t *testing.T) {
	r := reports()["failed"]
	r.Texts = &dsn.Texts{
		Language: "de",
		Subject:  map[dsn.Action]string{dsn.Failed: "Unzustellbar"},
		Intro:    map[dsn.Action]string{dsn.Failed: "Ihre Nachricht konnte nicht zugestellt werden."},
		Status:   map[string]string{"5.1.1": "Diese Adresse gibt es dort nicht. Prüfen Sie sie."},
	}
	got := text(t, r)
	for _, s := range []string{"Subject: Unzustellbar: Lunch", "Content-Language: de", "Ihre Nachricht konnte", "Pr=C3=BCfen Sie sie."} {
		if !strings.Contains(got, s) {
			t.Errorf("lacks %q:\n%s", s, got)
		}
	}
}

func TestIncompleteReport(t *testing.T) {
	if _, _, err := (&dsn.Report{}).Content(); err == nil {
		t.Error("an empty report is written")
	}
}

func FuzzParse(f *testing.F) {
	for _, r := range reports() {
		f.Add([]byte(text(f, r)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := dsn.Parse(bytes.NewReader(b))
		if err != nil {
			return
		}
		if len(r.Recipients) == 0 {
			t.Error("a report without a recipient")
		}
		// Content writes the same number of recipients that Parse has read.
		r.To, r.ReportingMTA = "alice@example.com", "relay.example.com"
		c, _, err := r.Content()
		if err != nil {
			t.Fatal(err)
		}
		again, err := dsn.Parse(io.NewSectionReader(c, 0, c.Size()))
		if err != nil || len(again.Recipients) != len(r.Recipients) {
			t.Errorf("the report that was written cannot be parsed: %v", err)
		}
	})
}
