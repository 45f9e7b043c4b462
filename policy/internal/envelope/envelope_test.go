package envelope

import (
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPrefixSubject(t *testing.T) {
	for _, c := range []struct{ subject, tag, want string }{
		{"Subject: hello\r\n", "[SPAM] ", "Subject: [SPAM] hello\r\n"},
		{"SUBJECT:hello\r\n\tworld\r\n", "[SPAM] ", "SUBJECT: [SPAM] hello\r\n\tworld\r\n"},
		{"Subject: Re: [SPAM] hello\r\n", "[SPAM] ", "Subject: Re: [SPAM] hello\r\n"},
		{"Subject:\r\n", "[SPAM] ", "Subject: [SPAM] \r\n"},
		{"", "[SPAM] ", "Subject: [SPAM]\r\n"},
		{"Subject: hello\r\n", "äußerst ", "Subject: =?utf-8?q?=C3=A4u=C3=9Ferst?= hello\r\n"},
		{"Subject: pay this" + strings.Repeat(".", 100) + "[SPAM]\r\n", "[SPAM] ", "Subject: [SPAM] pay this" + strings.Repeat(".", 100) + "[SPAM]\r\n"},
		{"Subject: one\r\nFrom: a\r\nsubject: two\r\n", "[SPAM] ", "Subject: [SPAM] one\r\nFrom: a\r\nsubject: [SPAM] two\r\n"},
		{"Subject: =?utf-8?q?Re:_[SPAM]_gr=C3=BCn?=\r\n", "[SPAM] ", "Subject: =?utf-8?q?Re:_[SPAM]_gr=C3=BCn?=\r\n"},
		{"Subject: =?utf-8?b?w6R1w59lcnN0IGhlbGxv?=\r\n", "äußerst ", "Subject: =?utf-8?b?w6R1w59lcnN0IGhlbGxv?=\r\n"},
	} {
		var h smtpserver.Header
		if err := h.Append(c.subject); err != nil {
			t.Fatal(err)
		}
		if err := PrefixSubject(&h, c.tag); err != nil {
			t.Fatal(err)
		}
		var got string
		for _, f := range h.Fields() {
			got += string(f)
		}
		if got != c.want {
			t.Errorf("%q before %q makes %q, want %q", c.tag, c.subject, got, c.want)
		}
	}
}

func TestFold(t *testing.T) {
	got := Fold("X-Words", strings.Repeat("word ", 40)+"\n end")
	for line := range strings.Lines(got) {
		if len(line) > 80 {
			t.Errorf("line %q is too long", line)
		}
	}
	if strings.Count(got, "\n") != strings.Count(got, "\r\n\t")+1 {
		t.Errorf("%q is no header field", got)
	}
}

func TestValid(t *testing.T) {
	if err := Valid("spam@example.com"); err != nil {
		t.Error(err)
	}
	for _, a := range []string{"", "spam", "a@b\r\nX: y", "a b@c"} {
		if Valid(a) == nil {
			t.Errorf("%q passes", a)
		}
	}
}
