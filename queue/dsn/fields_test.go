package dsn

import (
	"strings"
	"testing"
)

// IDAndSubject finds the two fields anywhere in the header, folded or not. It
// does not search the body.
func TestIDAndSubject(t *testing.T) {
	const received = "Received: from a by b;\r\n\tSat, 21 Nov 2026 12:00:00 +0000\r\n"
	for _, test := range []struct{ text, id, subject string }{
		{"Message-ID: <1@example.com>\r\nSubject: Lunch\r\n\r\nHello\r\n", "<1@example.com>", "Lunch"},
		{received + "SUBJECT:Lunch,\r\n perhaps\r\nX-Subject: no\r\nmessage-id :<1@example.com>\r\n\r\n", "<1@example.com>", "Lunch, perhaps"},
		{"Subject: first\r\nSubject: second\r\n\r\n", "", "first"},
		{received + "\r\nSubject: body\r\n\r\n", "", ""},
		{"\r\nSubject: body\r\n\r\n", "", ""},
		{"Subject: no end of the header\r\nMessage-ID: <1@example.com>\r\n", "<1@example.com>", "no end of the header"},
		{"Subject: whole\r\nMessage-ID: no line end", "no line end", "whole"},
		{received + "Message-ID: <1@example.com>\r\nSubject: cut off" + strings.Repeat("\r\n x", 16<<10), "<1@example.com>", ""},
		{"no colon\r\nSubject: Lunch\r\n\r\n", "", ""},
		{strings.Repeat(received, 400) + "Subject: far down\r\n\r\n", "", ""},
		{"", "", ""},
	} {
		if id, subject := IDAndSubject(strings.NewReader(test.text)); id != test.id || subject != test.subject {
			t.Errorf("%.80q: %q, %q; want %q, %q", test.text, id, subject, test.id, test.subject)
		}
	}
}

func BenchmarkIDAndSubject(b *testing.B) {
	text := strings.NewReader("Received: from pc.example.com (pc.example.com [192.0.2.1]) by relay.example.com\r\n\twith ESMTP id 1lg4bs81abd3ea-2.1; Sat, 21 Nov 2026 12:00:00 +0000\r\n" +
		"From: alice@example.com\r\nTo: bob@example.net\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@example.com>\r\nSubject: Lunch\r\n\r\n" +
		strings.Repeat("All work and no play makes Jack a dull boy.\r\n", 90))
	b.ReportAllocs()
	for b.Loop() {
		IDAndSubject(text)
	}
}
