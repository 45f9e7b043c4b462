package smtpclient

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/content"
)

const (
	trace  = "Received: from x\r\n\tby relay.example with ESMTP id 1\r\n\tfor <b@example.net>; now\r\n"
	binary = "Subject: x\r\n\r\n.\x00\n.\r\nRSET\r\n"

	binaryHost = "S: 220 mx\nC: EHLO relay.example\nS: 250-mx\nS: 250-8BITMIME\nS: 250-BINARYMIME\nS: 250 CHUNKING\n"
	// binaryRcpt is the script of a binary message, up to the first chunk.
	binaryRcpt = `
		C: MAIL FROM:<a@example.com> BODY=BINARYMIME
		S: 250 ok
		C: RCPT TO:<b@example.net>
		S: 250 ok
		`
	firstChunk = binaryRcpt + `
		C: BDAT 80
		C: <bytes 80>
		`
)

// Binary content is sent with BDAT. The first chunk is the relay's own Received
// field. The rest follows only if the host has accepted that chunk.
func TestBDAT(t *testing.T) {
	// byDATA is the new session with a host that does not know BDAT.
	const byDATA = binaryHost + `
		C: MAIL FROM:<a@example.com> BODY=8BITMIME
		S: 250 ok
		C: RCPT TO:<b@example.net>
		S: 250 ok
		C: DATA
		S: 354 go ahead
		C: <content>
		S: 250 2.0.0 queued` + quit
	for _, tt := range []struct {
		name    string
		text    string   // default trace + binary
		scripts []string // one for each connection, all to one host
		want    []string // what became of each message
		content []string // what went out as content
	}{
		{name: "in two chunks, and on a kept session in one", scripts: []string{binaryHost + firstChunk + `
			S: 250 80 octets received
			C: BDAT 26 LAST
			C: <bytes 26>
			S: 250 2.0.0 queued` + binaryRcpt + `
			C: BDAT 106 LAST
			C: <bytes 106>
			S: 250 2.0.0 queued` + quit},
			want: []string{queued, queued}, content: []string{trace, binary, trace + binary}},
		{name: "without a Received field one octet goes first", text: binary, scripts: []string{binaryHost + binaryRcpt + `
			C: BDAT 1
			C: <bytes 1>
			S: 250 1 octet received
			C: BDAT 25 LAST
			C: <bytes 25>
			S: 250 2.0.0 queued` + quit},
			want: []string{queued}, content: []string{"S", binary[1:]}},
		{name: "a final CRLF is added", text: "\x00", scripts: []string{binaryHost + binaryRcpt + `
			C: BDAT 1
			C: <bytes 1>
			S: 250 1 octet received
			C: BDAT 2 LAST
			C: <bytes 2>
			S: 250 2.0.0 queued` + quit},
			want: []string{queued}, content: []string{"\x00", "\r\n"}},
		{name: "no recipient", scripts: []string{binaryHost + `
			C: MAIL FROM:<a@example.com> BODY=BINARYMIME
			S: 250 ok
			C: RCPT TO:<b@example.net>
			S: 550 5.1.1 unknown` + quit},
			want: []string{"failure 550 5.1.1 unknown [mx1.example.net]"}},
		{name: "the host does not know BDAT", scripts: []string{binaryHost + firstChunk + "S: 502 5.5.2 what?" + quit},
			want: []string{"failure 502 5.5.2 what? [mx1.example.net]"}, content: []string{trace}},
		{name: "the first chunk is deferred", scripts: []string{binaryHost + firstChunk + "S: 452 4.3.1 full" + quit},
			want: []string{"deferred 452 4.3.1 full [mx1.example.net]"}, content: []string{trace}},
		{name: "the first chunk is refused", scripts: []string{binaryHost + firstChunk + "S: 554 5.7.1 no" + quit},
			want: []string{"failure 554 5.7.1 no [mx1.example.net]"}, content: []string{trace}},
		{name: "the host accepts the chunk and also reads it as commands", scripts: []string{binaryHost + firstChunk + "S: 250 ok<crlf>500 5.5.2 what?\nC: <eof>"},
			want: []string{"deferred 451 4.5.0 session with mx1.example.net: BDAT: unexpected reply before the rest of the content was sent"}, content: []string{trace}},
		{name: "354 to BDAT", scripts: []string{binaryHost + firstChunk + "S: 354 go ahead\nC: <eof>"},
			want: []string{`deferred 451 4.5.0 session with mx1.example.net: BDAT: unexpected reply 354 "go ahead"`}, content: []string{trace}},
		{name: "lost before the last chunk", scripts: []string{binaryHost + firstChunk + "S: <close>"},
			want: []string{"deferred 451 4.4.2 session with mx1.example.net failed: reply to BDAT: ..."}, content: []string{trace}},
		{name: "refused at the end, then RSET", scripts: []string{binaryHost + firstChunk + `
			S: 250 80 octets received
			C: BDAT 26 LAST
			C: <bytes 26>
			S: 554 5.7.1 spam
			C: RSET
			S: 250 ok` + binaryRcpt + `
			C: BDAT 106 LAST
			C: <bytes 106>
			S: 250 2.0.0 queued` + quit},
			want: []string{"failure 554 5.7.1 spam [mx1.example.net]", queued}, content: []string{trace, binary, trace + binary}},
		{name: "lost after the last chunk", scripts: []string{binaryHost + firstChunk + `
			S: 250 80 octets received
			C: BDAT 26 LAST
			C: <bytes 26>
			S: <close>`},
			want: []string{"deferred 451 4.4.2 session with mx1.example.net failed: no valid reply to the end of data, the host may have accepted the message: ..."}, content: []string{trace, binary}},
		{name: "text is sent with DATA on a new session", text: trace + "\r\ntext", scripts: []string{
			binaryHost + firstChunk + "S: 502 5.5.2 what?" + quit, byDATA},
			want: []string{queued}, content: []string{trace, trace + "\r\ntext\r\n"}},
		{name: "text is sent with DATA if BINARYMIME is not offered", text: trace + "\r\ntext", scripts: []string{
			strings.Replace(byDATA, "S: 250-BINARYMIME\n", "", 1)},
			want: []string{queued}, content: []string{trace + "\r\ntext\r\n"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				n.host("192.0.2.1:25", tt.scripts...)
				tr := n.transport()
				tr.Timeouts.Quit = 1 // a host that reads a chunk no more does not read QUIT
				for _, want := range tt.want {
					m := mail(or(tt.text, trace+binary), "b@example.net")
					m.Options.Body = smtp.BodyBinaryMIME
					expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), m), want)
				}
				tr.Close()
				n.wg.Wait()
				if got := strings.Join(n.content, "|"); got != strings.Join(tt.content, "|") {
					t.Errorf("content %q, want %q", n.content, tt.content)
				}
			})
		})
	}
}

// Each refusal of the command itself leads to DATA on a new session.
func TestBDATRefusals(t *testing.T) {
	for _, code := range []string{"500", "502", "503", "504"} {
		n := newNetwork(t)
		n.host("192.0.2.1:25", binaryHost+firstChunk+"S: "+code+" what?"+quit,
			"S: 220 mx\nC: EHLO relay.example\nS: 250 mx"+stepwise+quit)
		m := mail(trace+"\r\ntext\r\n", "b@example.net")
		m.Options.Body = smtp.BodyBinaryMIME
		tr := n.transport()
		expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), m), queued)
		tr.Close()
	}
}

// LMTP replies to the last chunk for each recipient, and to others once.
func TestBDATOverLMTP(t *testing.T) {
	_, c := newTestClient(t, &Config{LMTP: true}, `
		S: 220 lmtp
		C: LHLO relay.example
		S: 250-lmtp
		S: 250-BINARYMIME
		S: 250 CHUNKING
		C: MAIL FROM:<a@example.com> BODY=BINARYMIME
		S: 250 ok
		C: RCPT TO:<b@example.net>
		S: 250 ok
		C: RCPT TO:<c@example.net>
		S: 250 ok
		C: BDAT 80
		C: <bytes 80>
		S: 250 ok
		C: BDAT 26 LAST
		C: <bytes 26>
		S: 250 2.0.0 for b
		S: 452 4.2.2 c is full`+quit)
	m := mail(trace+binary, "b@example.net", "c@example.net")
	m.Options.Body = smtp.BodyBinaryMIME
	expect(t, c.Send(t.Context(), m), "success 250 2.0.0 for b\ndeferred 452 4.2.2 c is full")
	c.leave()
}

// A message that is not binary is never sent with BDAT: with or without CHUNKING,
// the host replies 354 before it gets content.
func TestTextGoesByDATA(t *testing.T) {
	n := newNetwork(t)
	n.host("192.0.2.1:25", extensions("PIPELINING", "CHUNKING", "BINARYMIME", "8BITMIME")+`
		C: MAIL FROM:<a@example.com> BODY=8BITMIME
		C: RCPT TO:<b@example.net>
		C: DATA
		S: 250 ok
		S: 250 ok
		S: 354 go ahead
		C: <content>
		S: 250 2.0.0 queued`+one+quit)
	tr := n.transport()
	m := mail("x\r\n", "b@example.net")
	m.Options.Body = smtp.Body8BitMIME
	expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), m), queued)
	expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net")), queued)
}

// A Received field is the first chunk only if no line of it can be a command.
func TestReceivedField(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want int
	}{
		{trace, 0}, // the field's end is not seen
		{trace + "x", len(trace)},
		{"Received: x\r\n\r\n", 13},
		{"RECEIVED: x\r\nTo: y\r\n", 13},
		{"Received: x\r\n\t(comment)\r\n  via y\r\n \t from z\r\nTo: y\r\n", 45},
		{"Received: x\r\n\tMAIL FROM:<>\r\nTo: y\r\n", 0},
		{"Received: x\r\n\t \r\n\tby y\r\nTo: y\r\n", 0},
		{"Received: x\nMAIL FROM:<>\r\nTo: y\r\n", 0},
		{"Received: x\rMAIL FROM:<>\r\nTo: y\r\n", 0},
		{"Received: x\r\n\tbye\r\nTo: y\r\n", 0},
		{"Subject: x\r\nReceived: y\r\n\r\n", 0},
		{"Received\r\n\r\n", 0},
		{"", 0},
	} {
		if got := receivedField([]byte(tt.in)); got != tt.want {
			t.Errorf("%q: %d, want %d", tt.in, got, tt.want)
		}
	}
	long := "Received: x\r\n" + strings.Repeat("\tby y\r\n", maxTrace/7) + "To: z\r\n"
	if b, err := firstPart(content.Of([]byte(long))); len(b) != 1 || err != nil {
		t.Errorf("first chunk of %d octets, %v", len(b), err)
	}
}

// FuzzReceivedField looks for a field with a line that is a command.
func FuzzReceivedField(f *testing.F) {
	for _, s := range []string{trace + "\r\n", "Received: x\r\n\tMAIL FROM:<>\r\n\r\n", "Received: a\n.\r\n\r\n", ""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		field := string(b[:receivedField(b)])
		if field == "" {
			return
		}
		rest, ok := strings.CutSuffix(field, "\r\n")
		if !ok {
			t.Fatalf("%q does not end in CRLF", field)
		}
		for i, line := range strings.Split(rest, "\r\n") {
			word := strings.ToLower(strings.TrimLeft(line, " \t"))
			word, _, _ = strings.Cut(word, " ")
			switch {
			case strings.ContainsAny(line, "\r\n"):
				t.Fatalf("%q has a bare CR or LF", line)
			case i == 0 && strings.HasPrefix(word, "received:"), i > 0 && traceLine(word), i > 0 && strings.HasPrefix(word, "("):
			default:
				t.Fatalf("line %q", line)
			}
		}
	})
}
