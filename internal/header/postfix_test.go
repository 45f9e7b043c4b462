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

// Postfix repairs headers as this package does, but for white space before the
// colon of a field. Postfix removes it, and takes a first field "From :" for the
// line of a mailbox file. Here both are fields and stay as they are.
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

// deliver sends a message, of which no line begins with a dot, to a server.
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

// withoutTrace is a message without the fields that Postfix has put before it
// and the ones that it adds where they are missing.
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
