package smtpserver_test

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// A session in the W3C log has one line for each command, no content, and no
// credentials.
func TestW3CProtocolLog(t *testing.T) {
	var out bytes.Buffer
	log := smtpserver.NewW3CProtocolLog(&out, "RELAY1")
	srv := &smtpserver.Server{Name: "internet", ProtocolLog: log, Auth: wonderland(), AllowInsecureAuth: true}
	if err := srv.Validate(); err != nil {
		t.Fatal(err)
	}
	s := smtptest.NewServer(t, srv)
	smtptest.Talk(t, s.Addr, `
		S: 220
		C: EHLO client.example
		S: 250
		C: AUTH PLAIN
		S: 334
		C: `+b64("\x00alice\x00wonderland")+`
		S: 235
		C: MAIL FROM:<a@example.com>
		C: RCPT TO:<b@example.com>
		C: DATA
		S: 250
		S: 250
		S: 354
		C: Subject: secret text
		C:
		C: .
		S: 250
		C: XYZZY
		S: 500
		C: QUIT
		S: 221
		EOF
	`)
	s.Close()
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	var got []string
	line := regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d 127\.0\.0\.1 (\S+) internet RELAY1 127\.0\.0\.1 \d+ (\S+) - (\S+) (\d+) 0 \d+ (\d+) \d+ SMTP - - - -$`)
	for _, l := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		if strings.HasPrefix(l, "#") {
			continue
		}
		m := line.FindStringSubmatch(l)
		if m == nil {
			t.Fatalf("line %q", l)
		}
		got = append(got, strings.Join(m[1:], " "))
	}
	want := []string{
		"client.example EHLO +client.example 250 21",
		"client.example AUTH +PLAIN 235 24",
		"client.example MAIL +FROM:<a@example.com> 250 27",
		"client.example RCPT +TO:<b@example.com> 250 25",
		"client.example DATA - 250 30", // 6 and the 24 bytes of the message
		"client.example <redacted> - 500 12",
		"client.example QUIT - 221 6",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("lines\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if strings.Contains(out.String(), "secret") || strings.Contains(out.String(), "wonderland") {
		t.Errorf("the log has content or a password:\n%s", out.String())
	}
}
