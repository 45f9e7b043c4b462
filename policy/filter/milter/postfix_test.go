//go:build unix

package milter

import (
	"net/smtp"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy/internal/agenttest"
)

// A milter that changes header fields by their indexes gets the same header from
// a real Postfix as from here.
func TestHeaderIndexesAsPostfix(t *testing.T) {
	const head = "X-A: 1\r\nX-B: 1\r\nX-A: 2\r\nX-A: 3\r\nx-a: 4\r\nSubject: s"
	change := func(i uint32, name, value string) packet { return packet{actChgHeader, index(i, name, value)} }
	insert := func(i uint32, value string) packet { return packet{actInsHeader, index(i, "X-I", value)} }
	add := func(name, value string) packet { return packet{actAddHeader, name + "\x00" + value + "\x00"} }
	f := startFake(t, &fake{tcp: true, script: map[byte][]packet{}})
	postfix := (&peers.Postfix{Domains: "example.com", Main: "smtpd_milters = inet:" + f.addr + "\nmilter_default_action = tempfail\n"}).Start(t)
	ours := agenttest.Start(t, (&Client{Address: f.addr}).Agent())
	for _, c := range []struct {
		script []packet
		want   string
	}{
		{nil, head},
		{[]packet{change(1, "X-A", ""), change(1, "X-A", "")}, "X-B: 1|X-A: 3|x-a: 4|Subject: s"},
		{[]packet{change(1, "X-A", ""), change(2, "X-A", "")}, "X-B: 1|X-A: 2|x-a: 4|Subject: s"},
		{[]packet{change(3, "X-A", ""), change(2, "X-A", ""), change(1, "X-A", "")}, "X-B: 1|x-a: 4|Subject: s"},
		{[]packet{change(1, "X-A", ""), change(2, "X-A", ""), change(3, "X-A", "")}, "X-B: 1|X-A: 2|x-a: 4|Subject: s"},
		{[]packet{change(1, "X-A", ""), change(1, "X-A", "new")}, "X-B: 1|X-A: new|X-A: 3|x-a: 4|Subject: s"},
		{[]packet{change(2, "X-A", ""), change(3, "X-A", "new")}, "X-A: 1|X-B: 1|X-A: 3|X-A: new|Subject: s"},
		{[]packet{change(4, "X-A", ""), change(4, "X-A", "new")}, "X-A: 1|X-B: 1|X-A: 2|X-A: 3|Subject: s|X-A: new"},
		{[]packet{change(2, "X-A", "new"), change(2, "X-A", ""), change(3, "X-A", "last")}, "X-A: 1|X-B: 1|X-A: 3|X-A: last|Subject: s"},
		{[]packet{change(9, "X-A", "")}, head},
		{[]packet{change(9, "X-A", "new")}, head + "|X-A: new"},
		{[]packet{change(0, "X-A", "new")}, strings.Replace(head, "X-A: 1", "X-A: new", 1)},
		{[]packet{change(0, "X-A", "")}, strings.Replace(head, "X-A: 1\r\n", "", 1)},
		{[]packet{change(1, "X-C", "new")}, head + "|X-C: new"},
		{[]packet{change(1, "X-A", ""), add("X-A", "added"), change(4, "X-A", "new")}, "X-B: 1|X-A: 2|X-A: 3|x-a: 4|Subject: s|X-A: new"},
		{[]packet{add("X-A", "added"), change(5, "X-A", "new")}, head + "|X-A: new"},
		{[]packet{insert(0, "i")}, "X-I: i|" + head},
		{[]packet{insert(1, "i")}, "X-I: i|" + head},
		{[]packet{insert(2, "i")}, strings.Replace(head, "X-B", "X-I: i|X-B", 1)},
		{[]packet{insert(99, "i")}, head + "|X-I: i"},
		{[]packet{insert(1, "i"), insert(1, "j")}, "X-I: j|X-I: i|" + head},
		{[]packet{insert(2, "i"), insert(3, "j")}, strings.Replace(head, "X-B", "X-I: i|X-I: j|X-B", 1)},
		{[]packet{insert(2, "i"), change(1, "X-I", "j")}, strings.Replace(head, "X-B", "X-I: j|X-B", 1)},
		{[]packet{change(1, "X-A", ""), insert(2, "i")}, "X-B: 1|X-I: i|X-A: 2|X-A: 3|x-a: 4|Subject: s"},
		{[]packet{change(1, "X-B", ""), insert(3, "i")}, "X-A: 1|X-A: 2|X-I: i|X-A: 3|x-a: 4|Subject: s"},
		{[]packet{change(1, "Subject", "a\n\tb"), insert(7, "i")}, strings.Replace(head, "Subject: s", "Subject: a|\tb|X-I: i", 1)},
	} {
		f.mu.Lock()
		f.script[cmdEOM] = c.script
		f.mu.Unlock()
		want := strings.ReplaceAll(c.want, "\r\n", "|")
		if err := smtp.SendMail(postfix.Addr, nil, "a@example.org", []string{"b@example.com"}, []byte(head+"\r\n\r\nbody\r\n")); err != nil {
			t.Fatal(err)
		}
		if got := withoutTrace(postfix.Next(t)); got != want {
			t.Errorf("%q: Postfix has\n%s, want\n%s", c.script, got, want)
		}
		if code, text := ours.Dial(t).Send("a@example.org", []string{"b@example.com"}, head+"\r\n\r\nbody\r\n"); code != 250 {
			t.Fatalf("%q: %d %s", c.script, code, text)
		}
		taken := ours.Accepted()
		got, _, _ := strings.Cut(taken[len(taken)-1].Data, "\r\n\r\n")
		if got = strings.ReplaceAll(got, "\r\n", "|"); got != want {
			t.Errorf("%q: here it is\n%s, want\n%s", c.script, got, want)
		}
	}
}

// withoutTrace returns the header of a message from Postfix without the fields
// that Postfix adds. The lines are joined by "|".
func withoutTrace(message string) string {
	head, _, _ := strings.Cut(message, "\n\n")
	var kept []string
	trace := false
	for line := range strings.SplitSeq(head, "\n") {
		name, _, _ := strings.Cut(line, ":")
		if line[0] != '\t' {
			trace = name == "Received" || name == "Return-Path" || name == "X-Original-To" || name == "Delivered-To"
		}
		if !trace {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "|")
}
