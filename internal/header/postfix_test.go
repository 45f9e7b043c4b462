package header_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/header"
	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// Postfix makes the same repairs as this package, with one difference: white space
// before the colon of a field. Postfix removes it, and treats a first field
// "From :" as the line of a mailbox file. In this package both are fields and do
// not change.
func TestPostfixRepairsTheSame(t *testing.T) {
	pf := (&peers.Postfix{Domains: "example.com"}).Start(t)
	for _, message := range []string{
		"Subject: s\r\n\r\nb\r\n", "Subject: s\r\n", "To: x\r\n  \r\nFrom: a@b\r\n\r\nb\r\n",
		"From x Sat\r\nFrom: a@b\r\n\r\nb\r\n", ">From x Sat\r\nFrom: a@b\r\n\r\nb\r\n", ">>From x\r\nFrom: a@b\r\n\r\nb\r\n", "From x\r\n>From y\r\nFrom: a@b\r\n\r\nb\r\n",
		"From x\r\n folded\r\nFrom: a@b\r\n\r\nb\r\n", "From x\r\n\r\nFrom: a@b\r\n", "From x\r\nbody\r\n", "From: a@b\r\nFrom x\r\nTo: x\r\n\r\nb\r\n",
		"From\r\nTo: x\r\n\r\nb\r\n", "From\tx\r\nTo: x\r\n\r\nb\r\n", " folded\r\nFrom: a@b\r\n\r\nb\r\n", "To: x\r\nno field at all\r\nFrom: a@b\r\n\r\nb\r\n",
		"To: x\r\n:\r\nFrom: a@b\r\n\r\nb\r\n", "To: x\r\nX Mailer: foo\r\nFrom: a@b\r\n\r\nb\r\n", "To: x\r\nFrom\r\n : a@b\r\n\r\nb\r\n", "From\r\n : a@b\r\nTo: x\r\n\r\nb\r\n",
		"To: x\r\nX\xc3\xa9: y\r\nFrom: a@b\r\n\r\nb\r\n", "To: x\r\nX\x01: y\r\nFrom: a@b\r\n\r\nb\r\n", "body\r\n",
	} {
		deliver(t, pf.Addr, message)
		want := strings.ReplaceAll(repaired(t, message), "\r\n", "\n")
		if got := withoutTrace(pf.Next(t)); got != want {
			t.Errorf("%q: Postfix makes it %q, we make it %q", message, got, want)
		}
	}
}

// deliver sends a message to a server. No line of it may begin with a dot.
func deliver(t *testing.T, addr, message string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	for _, step := range []struct{ send, want string }{
		{"", "220"}, {"HELO client.example\r\n", "250"}, {"MAIL FROM:<>\r\n", "250"}, {"RCPT TO:<b@example.com>\r\n", "250"}, {"DATA\r\n", "354"}, {message + ".\r\n", "250"}, {"QUIT\r\n", "221"},
	} {
		fmt.Fprint(c, step.send)
		if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, step.want) {
			t.Fatalf("%q: %q, %v", step.send, line, err)
		}
	}
}

// withoutTrace removes the trace fields of Postfix, and the fields that Postfix
// adds if they are missing.
func withoutTrace(message string) string {
	var s header.Scanner
	s.Scan([]byte(message), true)
	var b strings.Builder
	for f := range header.All([]byte(message[:s.End])) {
		switch f.Name() {
		case "Return-Path", "X-Original-To", "Delivered-To", "Received", "Message-Id", "Date":
		default:
			b.Write(f)
		}
	}
	return b.String() + message[s.End:]
}
