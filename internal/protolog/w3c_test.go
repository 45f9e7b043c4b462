package protolog

import (
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// w3cLines logs the events, and returns the lines after the directives.
func w3cLines(t *testing.T, received bool, events ...Event) []string {
	t.Helper()
	var b strings.Builder
	w := NewW3C(&b, "", "RELAY1", received)
	for _, e := range events {
		w.Log(e)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for l := range strings.Lines(b.String()) {
		if !strings.HasPrefix(l, "#") {
			lines = append(lines, strings.TrimSuffix(l, "\n"))
		}
	}
	return lines
}

// dialogue makes events of lines such as "< QUIT". Each is 10 ms after the one
// before.
func dialogue(session string, lines ...string) (events []Event) {
	for i, l := range lines {
		e := Event{Time: noon.Add(time.Duration(i) * 10 * time.Millisecond), Connector: "edge", Session: session, Sequence: i,
			Local: "192.0.2.1:25", Remote: "198.51.100.7:4711", Kind: l[0]}
		if text := strings.TrimPrefix(l[1:], " "); e.Kind == '*' {
			e.Context = text
		} else {
			e.Data = text
		}
		events = append(events, e)
	}
	return events
}

func checkLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	const from, to = "2026-11-21 12:00:00 198.51.100.7 ", " SMTP - - - -"
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Errorf("no line %s", want[i])
		case i >= len(want):
			t.Errorf("line %s", got[i])
		case got[i] != from+want[i]+to:
			t.Errorf("line %s\nwant %s", got[i], from+want[i]+to)
		}
	}
}

// A command and its reply are one line, as in the log of IIS. The argument begins
// with the space after the command.
func TestW3CReceived(t *testing.T) {
	const site = "edge RELAY1 192.0.2.1 25 "
	checkLines(t, w3cLines(t, true, dialogue("s1",
		"+", "> 220 relay.example ESMTP",
		"< EHLO mail.example.net", "> 250-relay.example", "> 250 SIZE",
		"< AUTH LOGIN", "> 334 <challenge>", "< <response>", "> 334 <challenge>", "< <response>", "> 235 2.7.0 ok",
		"< MAIL FROM:<a@example.net> SIZE=9", "> 250 2.1.0 Ok",
		"< RCPT TO:<b+tag@example.com>", "> 550 5.1.1 no",
		"< DATA", "> 354 Go ahead", "* 1234 bytes of message x", "> 250 2.0.0 Ok",
		"< QUIT", "> 221 Bye", "-")...),
		"mail.example.net "+site+"EHLO - +mail.example.net 250 0 29 23 20",
		"mail.example.net "+site+"AUTH - +LOGIN 235 0 48 36 50",
		"mail.example.net "+site+"MAIL - +FROM:<a@example.net>+SIZE=9 250 0 14 34 10",
		"mail.example.net "+site+"RCPT - +TO:<b%2Btag@example.com> 550 0 14 29 10",
		"mail.example.net "+site+"DATA - - 250 0 28 1240 30",
		"mail.example.net "+site+"QUIT - - 221 0 9 6 10",
	)
}

// Sessions do not mix. A client that is refused, or that leaves before the reply,
// has a line too.
func TestW3CSessions(t *testing.T) {
	const site = "edge RELAY1 192.0.2.1 25 "
	a, b := dialogue("a", "< HELO a", "> 250 ok", "< NOOP", "-"), dialogue("b", "< HELO b", "> 250 ok", "> 421 4.4.2 Timeout", "-")
	var mixed []Event
	for i := range a {
		mixed = append(mixed, a[i], b[i])
	}
	checkLines(t, w3cLines(t, true, mixed...),
		"a "+site+"HELO - +a 250 0 8 8 10", "b "+site+"HELO - +b 250 0 8 8 10",
		"b "+site+"- - - 421 0 19 0 0", "a "+site+"NOOP - - - 0 0 6 10")
	checkLines(t, w3cLines(t, true, dialogue("c", "> 554 5.7.1 No", "< QUIT", "< RSET", "> 250 ok", "-")...),
		"- "+site+"- - - 554 0 14 0 0", "- "+site+"QUIT - - - 0 0 6 10", "- "+site+"RSET - - 250 0 8 6 10")
}

// A session that has ended is forgotten, and the number of sessions is bounded.
func TestW3CSessionsAreBounded(t *testing.T) {
	s := &w3cSessions{open: make(map[string]*w3cSession)}
	for i := range maxW3CSessions + 100 {
		e := Event{Session: strconv.Itoa(i), Kind: '+'}
		s.append(nil, &e)
	}
	if len(s.open) != maxW3CSessions {
		t.Errorf("%d sessions", len(s.open))
	}
	for id := range s.open {
		e := Event{Session: id, Kind: '-'}
		s.append(nil, &e)
	}
	if len(s.open) != 0 {
		t.Errorf("%d sessions are left", len(s.open))
	}
}

// The log of a client has a line for each command and each line of a reply.
func TestW3CSent(t *testing.T) {
	const command, response = "OutboundConnectionCommand edge RELAY1 - 4711 ", "OutboundConnectionResponse edge RELAY1 - 4711 "
	checkLines(t, w3cLines(t, false, dialogue("s1", "+", "< 220 mx.example", "> EHLO relay.example", "< 250-mx.example", "< 250 SIZE", "> QUIT", "* note", "-")...),
		response+"- - 220+mx.example 220 0 - 16 -",
		command+"EHLO - relay.example - 0 20 - -",
		response+"- - 250-mx.example 250 0 - 16 -",
		response+"- - 250+SIZE 250 0 - 10 -",
		command+"QUIT - - - 0 6 - -")
}

// Each line has as many columns as #Fields, whatever a client sends, and the text
// can be decoded.
func TestW3CEscapes(t *testing.T) {
	if n := len(strings.Fields(W3CFields)); n != 21 {
		t.Fatalf("%d columns", n)
	}
	for _, data := range []string{"X a b", "X -", "X +%20%", "X \t\v", "X é\u2028\u202e", "X \xff\x00", "", " ", "-", `X "quoted"`, "X " + strings.Repeat("é", maxField)} {
		e := event(data)
		for _, received := range []bool{true, false} {
			e.Kind = '<'
			end := e
			end.Kind, end.Data = '>', "500 no"
			if !received {
				e.Kind, end.Kind = '>', '*'
			}
			lines := w3cLines(t, received, e, end)
			if len(lines) != 1 || len(strings.Split(lines[0], " ")) != 21 {
				t.Fatalf("%q: lines %q", data, lines)
			}
			columns := strings.Split(lines[0], " ")
			method, _ := url.QueryUnescape(columns[8])
			text, err := url.QueryUnescape(columns[10])
			if !received && columns[10] != "-" {
				text = " " + text
			}
			got := method + text
			if columns[10] == "-" {
				got = method
			}
			if columns[8] == "-" {
				got = strings.TrimPrefix(got, "-")
			}
			if want := data[:min(len(data), maxField)]; err != nil || got != want && len(data) < maxField && strings.TrimRight(want, " ") != got {
				t.Errorf("%q becomes %q, which is %q, %v", data, lines[0], got, err)
			}
			if len(lines[0]) > 4*maxField {
				t.Errorf("%d bytes", len(lines[0]))
			}
		}
	}
}

// Each file begins with the directives, and #Date is the time when it begins.
func TestW3CFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		w := NewW3C(&Files{Dir: dir, MaxSize: 400}, "ex", "RELAY1", true)
		began := time.Now().UTC()
		for range 3 {
			e := event("QUIT")
			w.Log(e)
			e.Kind, e.Data = '>', "221 Bye"
			w.Log(e)
			w.Flush()
			time.Sleep(time.Minute)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		names, err := filepath.Glob(filepath.Join(dir, "ex????????-?.log"))
		if err != nil || len(names) != 3 {
			t.Fatal(names, err)
		}
		for i, name := range names {
			b, err := os.ReadFile(name)
			want := "#Software: Bridgehead\n#Version: 1.0\n#Date: " + began.Add(time.Duration(i)*time.Minute).Format(time.DateTime) + "\n#Fields: " + W3CFields + "\n"
			rest, ok := strings.CutPrefix(string(b), want)
			if err != nil || !ok || strings.Count(rest, "\n") != 1 {
				t.Errorf("%v\n%s", err, b)
			}
		}
	})
}

// FuzzW3C checks that a line has the right number of columns, and only printable
// ASCII.
func FuzzW3C(f *testing.F) {
	f.Add("EHLO x", "250 ok", "[::1]:25", "edge")
	f.Add("MAIL FROM:<\xff@x>\r\n#", "", "", "a b")
	f.Fuzz(func(t *testing.T, command, reply, remote, connector string) {
		e := Event{Time: noon, Session: "s", Remote: remote, Connector: connector, Kind: '<', Data: command}
		end := e
		end.Kind, end.Data = '>', reply
		for _, received := range []bool{true, false} {
			for _, l := range w3cLines(t, received, e, end) {
				columns := strings.Split(l, " ")
				if len(columns) != 21 {
					t.Fatalf("%d columns: %q", len(columns), l)
				}
				for i := range len(l) {
					if l[i] < ' ' || l[i] > '~' {
						t.Fatalf("byte %#x in %q", l[i], l)
					}
				}
			}
		}
	})
}

// BenchmarkW3C measures one command with its reply.
func BenchmarkW3C(b *testing.B) {
	s := &w3cSessions{open: make(map[string]*w3cSession)}
	command, reply := event("MAIL FROM:<a@example.net>"), event("250 2.1.0 Ok")
	reply.Kind = '>'
	var buf []byte
	for b.Loop() {
		buf, _ = s.append(buf[:0], &command)
		buf, _ = s.append(buf, &reply)
	}
}
