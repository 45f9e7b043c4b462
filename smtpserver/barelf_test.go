package smtpserver_test

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

func bareLF() *smtpserver.Server {
	s := generous()
	s.BareLFFrom = loopback
	return s
}

// A client that ends all its lines with LF can use all features: several
// messages, dots, AUTH with responses, chunks, LMTP, TLS.
func TestBareLFClient(t *testing.T) {
	const open = "MAIL FROM:<a@example.net>\nRCPT TO:<b@example.com>\nDATA\n"
	for name, c := range map[string]struct {
		lines string // sent in order, each part after the replies to the one before
		codes string
		want  []string
	}{
		"one message":     {"EHLO x|" + open + "|Subject: x\n\nbody\n.\n|QUIT\n", "250 250 250 354 250 221", []string{"Subject: x\r\n\r\nbody\r\n"}},
		"two messages":    {"HELO x|" + open + "|A: 1\n.\nRSET\n|" + open + "|A: 2\n.\n|QUIT\n", "250 250 250 354 250 250 250 250 354 250 221", []string{"A: 1\r\n", "A: 2\r\n"}},
		"nothing":         {"EHLO x|" + open + "|.\n|QUIT\n", "250 250 250 354 250 221", []string{""}},
		"dots":            {"EHLO x|" + open + "|A: 1\n\n..\n..a\n...\n.b\n.\n|QUIT\n", "250 250 250 354 250 221", []string{"A: 1\r\n\r\n.\r\n.a\r\n..\r\nb\r\n"}},
		"chunks":          {"EHLO x|MAIL FROM:<a@example.net>\nRCPT TO:<b@example.com>\nBDAT 8\na: b\n\n.\nBDAT 5 LAST\n.\nc\n.|QUIT\n", "250 250 250 250 250 221", []string{"a: b\r\n\r\n.\r\n.\r\nc\r\n."}},
		"login":           {"EHLO x|AUTH PLAIN\n|" + b64("\x00alice\x00wonderland") + "\n|" + open + "|A: 1\n.\n|QUIT\n", "250 334 235 250 250 354 250 221", []string{"A: 1\r\n"}},
		"a line too long": {"EHLO x|NOOP " + strings.Repeat("x", 200_000) + "\n|" + open + "|A: 1\n.\n|QUIT\n", "250 500 250 250 354 250 221", []string{"A: 1\r\n"}},
		"TLS":             {"EHLO x|STARTTLS\n|TLS|EHLO x\n|" + open + "|A: 1\n.\n|QUIT\n", "250 220 250 250 250 354 250 221", []string{"A: 1\r\n"}},
		"LMTP":            {"LHLO x|" + open + "|A: 1\n.\n|QUIT\n", "250 250 250 354 250 221", []string{"A: 1\r\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := bareLF()
			s.TLSConfig, _ = smtptest.TLSConfig(t)
			s.Auth, s.AllowInsecureAuth, s.LMTP = wonderland(), true, name == "LMTP"
			srv := smtptest.NewServer(t, s)
			conn := dialRaw(t, srv.Addr)
			conn.expect("220")
			codes := strings.Fields(c.codes)
			for _, part := range strings.Split(strings.Replace(c.lines, "|", "\n|", 1), "|") {
				if part == "TLS" {
					conn = newRaw(t, tls.Client(conn.Conn, &tls.Config{InsecureSkipVerify: true}))
					continue
				}
				conn.send(part)
				n := strings.Count(part, "\n")
				switch {
				case strings.HasSuffix(part, "\n.\n"), part == ".\n":
					n = 1
				case strings.HasSuffix(part, "RSET\n"):
					n = 2
				case strings.Contains(part, "BDAT"):
					n = 4
				}
				conn.expect(codes[:n]...)
				codes = codes[n:]
			}
			conn.gone()
			if len(codes) > 0 {
				t.Errorf("replies %q did not come", codes)
			}
			for _, want := range c.want {
				if got := srv.Inbox.Next(t).Text; got != want {
					t.Errorf("content %q, want %q", got, want)
				}
			}
			if n := srv.Inbox.Len(); n != 0 {
				t.Errorf("%d more messages", n)
			}
		})
	}
}

// smuggled contains commands that the server must treat as text.
const smuggled = "MAIL FROM:<evil@example.com>\nRCPT TO:<victim@example.com>\nDATA\nSubject: smuggled\n\n.\n"

// After the first CRLF, at any place, the normal rule applies for the rest of
// the session: a bare LF ends no command, and LF.LF does not end the data.
func TestFirstCRLFEndsBareLF(t *testing.T) {
	for name, c := range map[string]struct{ before, replies string }{
		"EHLO":             {"EHLO x\r\n", "250"},
		"a later command":  {"EHLO x\n|NOOP\r\n", "250 250"},
		"an empty line":    {"EHLO x\n|\r\n", "250 500"},
		"no command":       {"EHLO x\n|NO\x00OP\r\n", "250 500"},
		"a line too long":  {"EHLO x\n|" + strings.Repeat("x", 5000) + "\r\n", "250 500"},
		"a very long line": {"EHLO x\n|" + strings.Repeat("x", 200_000) + "\r\n", "250 500"},
		"a SASL response":  {"EHLO x\n|AUTH PLAIN\n|" + b64("\x00alice\x00wonderland") + "\r\n", "250 334 235"},
		"a chunk":          {"EHLO x\n|MAIL FROM:<a@example.net>\n|RCPT TO:<b@example.com>\n|BDAT 6 LAST\na: b\r\n|", "250 250 250 250"},
		"the line of BDAT": {"EHLO x\n|MAIL FROM:<a@example.net>\n|RCPT TO:<b@example.com>\n|BDAT 5 LAST\r\na: b\n|", "250 250 250 550"},
		"RSET":             {"EHLO x\n|RSET\r\n", "250 250"},
	} {
		t.Run(name, func(t *testing.T) {
			s := bareLF()
			s.Auth, s.AllowInsecureAuth = wonderland(), true
			srv := smtptest.NewServer(t, s)
			conn := dialRaw(t, srv.Addr)
			conn.expect("220")
			replies := strings.Fields(c.replies)
			for i, part := range strings.Split(strings.TrimSuffix(c.before, "|"), "|") {
				conn.send(part)
				conn.expect(replies[i])
			}
			taken := srv.Inbox.Len()
			conn.send("NOOP\n")
			conn.expect("500 5.5.2")
			conn.send("RSET\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n")
			conn.expect("250", "250", "250", "354")
			conn.send("Subject: x\r\n\r\nbody\n.\n" + smuggled + "\r\n.\r\n")
			conn.expect("550 5.6.11")
			conn.gone()
			if n := srv.Inbox.Len(); n != taken {
				t.Errorf("%d messages were taken", n-taken)
			}
		})
	}
}

// The test sends every mixture of line ends around a dot, after lines that all
// ended in LF. Before the first CRLF, LF.LF ends the data. After it, CRLF.CRLF
// ends the data. A mixture never does: the lines after it are text, and the
// message is refused.
func TestMixedEndsOfData(t *testing.T) {
	ends := []string{"\n", "\r\n", "\r", "\r\r\n", "\n\r", "\x00\n", "\n\x00"}
	texts := []string{".\r\n", ".\r", ".\r\r\n", ".\x00\n"} // the dot comes first of all
	for _, before := range ends {
		for _, after := range ends {
			if before != "\n" || after[0] != '\n' { // that does end the data
				texts = append(texts, "Subject: x\n\nbody"+before+"."+after)
			}
		}
	}
	srv := smtptest.NewServer(t, bareLF())
	for _, text := range texts {
		conn := dialRaw(t, srv.Addr)
		conn.expect("220")
		conn.send("EHLO x\n")
		conn.expect("250")
		conn.send("MAIL FROM:<a@example.net>\nRCPT TO:<b@example.com>\nDATA\n")
		conn.expect("250", "250", "354")
		conn.send(text + strings.ReplaceAll(smuggled, "\n", "\r\n"))
		if got := conn.reply(); !strings.HasPrefix(got, "550 5.6.11") {
			t.Errorf("%q: %q", text, got)
		}
		conn.gone()
		if n := srv.Inbox.Len(); n != 0 {
			t.Fatalf("%q: %d messages were taken", text, n)
		}
	}
}

// If a client ends its commands with LF and its text with CRLF, the normal rule
// applies to its text.
func TestCRLFTextOfBareLFClient(t *testing.T) {
	srv := smtptest.NewServer(t, bareLF())
	conn := dialRaw(t, srv.Addr)
	conn.expect("220")
	conn.send("EHLO x\n")
	conn.expect("250")
	conn.send("MAIL FROM:<a@example.net>\nRCPT TO:<b@example.com>\nDATA\n")
	conn.expect("250", "250", "354")
	conn.send("Subject: x\r\n\r\n..a\r\n.\r\n")
	conn.expect("250")
	if got := srv.Inbox.Next(t).Text; got != "Subject: x\r\n\r\n.a\r\n" {
		t.Errorf("content %q", got)
	}
	conn.send("QUIT\n")
	conn.expect("500")
	conn.send("QUIT\r\n")
	conn.expect("221")
}

// With BareNormalize, a message with mixed line ends is repaired, and only
// CRLF.CRLF ends it.
func TestMixedTextNormalized(t *testing.T) {
	for raw, want := range map[string]string{
		"a\n..b\nc\r\n.\n..d\r\n..e\r\n.\r\n": "a\r\n.b\r\nc\r\n\r\n..d\r\n.e\r\n",
		"a\n.\r\nb\r\n.\r\n":                  "a\r\n.\r\nb\r\n",
		".\r\nb\r\n.\r\n":                     ".\r\nb\r\n",
		"a\r\r\x00b\n.\n":                     "ab\r\n",
	} {
		s := bareLF()
		s.BareBytes = smtpserver.BareNormalize
		srv := smtptest.NewServer(t, s)
		conn := dialRaw(t, srv.Addr)
		conn.expect("220")
		conn.send("EHLO x\n")
		conn.expect("250")
		conn.send("MAIL FROM:<a@example.net>\nRCPT TO:<b@example.com>\nDATA\n")
		conn.expect("250", "250", "354")
		conn.send("X: y\n\n" + raw)
		conn.expect("250")
		if got := srv.Inbox.Next(t).Text; got != "X: y\r\n\r\n"+want {
			t.Errorf("%q became %q, want %q", raw, got, want)
		}
	}
}

// The server compares the address of the client, not that of a proxy. If the
// proxy gives no address, the client is not in BareLFFrom.
func TestBareLFByAddress(t *testing.T) {
	device := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	for name, c := range map[string]struct {
		from   []netip.Prefix
		before string
		may    bool
	}{
		"nobody":                    {nil, "", false},
		"its own":                   {loopback, "", true},
		"another's":                 {device, "", false},
		"behind PROXY":              {device, "PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\n", true},
		"not the proxy's":           {loopback, "PROXY TCP4 203.0.113.7 198.51.100.1 4711 25\r\n", false},
		"a proxy without addresses": {append(loopback, netip.MustParsePrefix("0.0.0.0/0")), "PROXY UNKNOWN\r\n", false},
		"behind XCLIENT":            {device, "XCLIENT ADDR=192.0.2.7\r\n", true},
		"not the front end's":       {loopback, "XCLIENT ADDR=203.0.113.7\n", false},
		"XCLIENT without address":   {append(loopback, netip.MustParsePrefix("0.0.0.0/0")), "XCLIENT ADDR=[UNAVAILABLE]\n", false},
		"a front end that greets":   {device, "XCLIENT ADDR=192.0.2.7\r\n|EHLO x\r\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := generous()
			s.BareLFFrom, s.XClientFrom = c.from, loopback
			if strings.HasPrefix(c.before, "PROXY") {
				s.ProxyFrom = loopback
			}
			srv := smtptest.NewServer(t, s)
			conn := dialRaw(t, srv.Addr)
			if !strings.HasPrefix(c.before, "PROXY") {
				conn.expect("220")
			}
			for _, line := range strings.Split(c.before, "|") {
				if line != "" {
					conn.send(line)
					conn.expect("2")
				}
			}
			conn.send("NOOP\n")
			conn.expect(map[bool]string{true: "250", false: "500 5.5.2"}[c.may])
		})
	}
}

// Only LF.LF ends the data, however the client splits its writes.
func TestBareLFAtEverySplit(t *testing.T) {
	srv := smtptest.NewServer(t, bareLF())
	text := "Subject: x\n\n..a\n.\n"
	for cut := 1; cut < len(text); cut++ {
		conn := dialRaw(t, srv.Addr)
		conn.expect("220")
		conn.send("EHLO x\n")
		conn.expect("250")
		conn.send("MAIL FROM:<a@example.net>\nRCPT TO:<b@example.com>\nDATA\n")
		conn.expect("250", "250", "354")
		conn.send(text[:cut])
		conn.send(text[cut:])
		conn.expect("250")
		if got := srv.Inbox.Next(t).Text; got != "Subject: x\r\n\r\n.a\r\n" {
			t.Errorf("cut at %d: %q", cut, got)
		}
	}
}

func ExampleServer_bareLF() {
	// Old devices on their own network; all other hosts must end lines with CRLF.
	srv := &smtpserver.Server{BareLFFrom: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/24")}}
	fmt.Println(srv.Validate())
	// Output: <nil>
}
