package smtpclient

import (
	"errors"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/chars"
)

func TestCheckCommand(t *testing.T) {
	for _, ok := range []string{"EHLO relay.example", "DATA", "", "VRFY jörg", "AUTH PLAIN AGEAYg==", "=", "*"} {
		if err := checkCommand([]byte(ok + "\r\n")); err != nil {
			t.Errorf("%q: %v", ok, err)
		}
	}
	for _, bad := range []string{"DATA\r\nQUIT\r\n", "DATA\n\r\n", "DATA\rQUIT\r\n", "A\x00B\r\n", "A\tB\r\n", "A\x7fB\r\n", "A\u0085B\r\n", "A\xffB\r\n", "A\xc2\r\n", "DATA", "DATA\n", ""} {
		if err := checkCommand([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
	// The response of AUTH does not get into an error.
	if err := checkCommand([]byte("c2VjcmV0\x00\r\n")); err == nil || strings.Contains(err.Error(), "c2VjcmV0") {
		t.Errorf("error %v", err)
	}
}

// A MAIL or RCPT command must read back as the address of the message.
func TestCheckPath(t *testing.T) {
	for _, tt := range []struct {
		line, address string
		utf8          bool
		want          string // "" for no error
	}{
		{line: "MAIL FROM:<>", address: ""},
		{line: "MAIL FROM:<> SIZE=1", address: ""},
		{line: "MAIL FROM:<a@example.org> SIZE=1", address: "a@example.org"},
		{line: "RCPT TO:<postmaster>", address: "postmaster"},
		{line: `RCPT TO:<"a> b"@example.org>`, address: `"a> b"@example.org`},
		{line: "RCPT TO:<a@xn--bcher-kva.example>", address: "a@bücher.example"},
		{line: "RCPT TO:<a@bücher.example>", address: "a@bücher.example", utf8: true},
		{line: "RCPT TO:<a@example.org.>", address: "a@example.org."},
		{line: "RCPT TO:<a@[IPv6:::ffff:192.0.2.1]>", address: "a@[IPv6:::ffff:192.0.2.1]"},

		{line: "RCPT TO:<v@other.example> orcpt=rfc822;x.example.com>", address: "v@other.example\uff1e\u3000orcpt\uff1drfc822\uff1bx.example.com", want: "an address that differs"},
		{line: "MAIL FROM:<ceo@example.com> ENVID=x.example.net> SIZE=1", address: "ceo@example.com> ENVID=x.example.net", want: "an address that differs"},
		{line: "RCPT TO:<a@example.org>", address: "b@example.org", want: "an address that differs"},
		{line: "RCPT TO:<>", address: "b@example.org", want: "an address that differs"},
		{line: "RCPT TO:<a@bücher.example>", address: "a@bücher.example", want: "SMTPUTF8"},
		{line: "RCPT TO:<a@example.org>NOTIFY=NEVER", address: "a@example.org", want: "no space"},
		{line: `RCPT TO:<a\"b> X="@example.org>`, address: `a\"b> X="@example.org`, want: "no >"},
		{line: "RCPT TO:<a b@example.org>", address: "a b@example.org", want: "no >"},
		{line: "RCPT TO:<a@exa mple.org>", address: "a@exa mple.org", want: "no >"},
		{line: "RCPT TO:<a@x=y.example>", address: "a@x=y.example", want: "no >"},
		{line: "RCPT TO:a@example.org", address: "a@example.org", want: "no <"},
		{line: "RCPT TO:<a@example.org>\r\nDATA", address: "a@example.org", want: "control character"},
	} {
		err := checkPath([]byte(tt.line+"\r\n"), tt.address, tt.utf8)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%q for %q: error %v, want %q", tt.line, tt.address, err, tt.want)
		}
	}
}

// Hosts with SMTPUTF8 get U-labels in normal form, others A-labels.
func TestPathsOfTheSession(t *testing.T) {
	for _, tt := range []struct{ address, utf8, ascii string }{
		{"", "", ""},
		{"a@example.org", "a@example.org", "a@example.org"},
		{"a@BÜCHER。example", "a@bücher.example", "a@xn--bcher-kva.example"},
		{"jörg@Bücher.example", "jörg@bücher.example", ""}, // not sent
	} {
		if got := (terms{utf8: true}).path(tt.address); got != tt.utf8 {
			t.Errorf("SMTPUTF8: %q, want %q", got, tt.utf8)
		}
		if got := (terms{ascii: true}).path(tt.address); got != tt.ascii {
			t.Errorf("ASCII: %q, want %q", got, tt.ascii)
		}
	}
}

// A command that a host could misread is not sent. The message fails; nothing of
// it reaches the host.
func TestUnsafeCommandIsNotSent(t *testing.T) {
	c := &Client{}
	c.feat.dsn = true
	m := &Message{From: "a@example.org", Recipients: []Recipient{
		{Addr: "b@example.org", Options: RcptOptions{RcptOptions: smtp.RcptOptions{Notify: []smtp.DSNNotify{"NEVER\r\nRCPT TO:<c@example.org>"}}}}}}
	d := &delivery{m: m, results: make([]Result, 1), states: make([]rcptState, 1)}
	tx := &transaction{c: c, d: d, rcpts: []int{0}}
	err := tx.append(stepRcpt)
	var unsafe *commandError
	if !errors.As(err, &unsafe) {
		t.Fatalf("error %v", err)
	}
	d.fail(c, err)
	if r := d.results[0]; r.Outcome != Failure || r.Reply.Code != 554 || !strings.Contains(r.Reply.Message, "RCPT not sent") {
		t.Errorf("%v %v", r.Outcome, r.Reply)
	}
}

// A command that passes the check is one line and contains the address of the
// message.
func FuzzCheckPath(f *testing.F) {
	for _, s := range []string{"a@example.org", "a@b> X=<c", "a@bücher.example", `"a>b"@c`, `a\"b> c"@d`, "a@x\uff1ey", "a@[IPv6:::1]", "postmaster", "a@b\r\nDATA", ""} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, address string, utf8 bool) {
		line := "RCPT TO:<" + address + "> NOTIFY=NEVER\r\n"
		if checkPath([]byte(line), address, utf8) != nil {
			return
		}
		if i := strings.IndexAny(line, "\r\n"); i != len(line)-2 {
			t.Fatalf("%q has more than one line", line)
		}
		if !utf8 && !chars.ASCII(line) {
			t.Fatalf("%q is not ASCII", line)
		}
		if !strings.Contains(address, `"`) && strings.ContainsAny(address, "<> ") {
			t.Fatalf("%q is not one address", line)
		}
	})
}
