package milter

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gomilter "github.com/emersion/go-milter"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/policy/internal/agenttest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

func TestNegotiation(t *testing.T) {
	for _, c := range []struct {
		name string
		f    *fake
		code int
		data bool // the milter gets DATA
	}{
		{"version 6", &fake{}, 250, true},
		{"version 4", &fake{version: 4}, 250, true},
		{"version 3 has no DATA", &fake{version: 3}, 250, false},
		{"version 2 has no DATA", &fake{version: 2, actions: gomilter.OptAddHeader, steps: gomilter.OptNoEOH}, 250, false},
		{"version 1", &fake{version: 1}, 451, false},
		{"version 7", &fake{version: 7}, 451, false},
		{"a step that was not offered", &fake{steps: gomilter.OptRcptRej}, 451, false},
		{"an action that was not offered", &fake{actions: gomilter.OptSetSymList}, 451, false},
		{"a short packet", &fake{script: map[byte][]packet{cmdOptNeg: {{cmdOptNeg, "\x00\x00\x00\x06\x00\x00"}}}}, 451, false},
		{"no version", &fake{script: map[byte][]packet{cmdOptNeg: {{cmdOptNeg, "\x00"}}}}, 451, false},
		{"another packet", &fake{script: map[byte][]packet{cmdOptNeg: {{actContinue, ""}}}}, 451, false},
		{"no answer", &fake{script: map[byte][]packet{cmdOptNeg: {{hangUp, ""}}}}, 451, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := startFake(t, c.f)
			s := agenttest.Start(t, (&Client{Address: f.addr}).Agent())
			code, text := s.Dial(t).Send("a@example.org", []string{"b@example.com"}, message)
			if code != c.code {
				t.Errorf("the reply is %d %s, want %d", code, text, c.code)
			}
			if got := slices.Contains(f.commands(), "T "); got != c.data {
				t.Errorf("DATA was sent: %v, want %v", got, c.data)
			}
		})
	}
}

// An invalid packet from a milter causes a 451 for one message, and no other
// harm.
func TestHostilePackets(t *testing.T) {
	long := strings.Repeat("x", maxPacket-1)
	for _, c := range []struct {
		name string
		at   byte
		say  []packet
	}{
		{"length 0", cmdEOM, []packet{{raw, "\x00\x00\x00\x00"}}},
		{"too long", cmdEOM, []packet{{raw, "\x00\x10\x00\x01b"}}},
		{"maximum length", cmdMail, []packet{{raw, "\xff\xff\xff\xffc"}}},
		{"incomplete packet", cmdEOM, []packet{{raw, "\x00\x00\x00\x08y550 "}, {hangUp, ""}}},
		{"more bytes than the limit", cmdEOM, slices.Repeat([]packet{{actReplBody, long}}, 5)},
		{"too many changes", cmdEOM, slices.Repeat([]packet{{actDelRcpt, ""}}, replyAllowance/changeCost)},
		{"too many progress packets", cmdEOM, slices.Repeat([]packet{{actProgress, long}}, 5)},
		{"a change without its index", cmdEOM, []packet{{actChgHeader, "\x00\x00"}}},
		{"a change without a name", cmdEOM, []packet{{actAddHeader, "\x00x\x00"}}},
		{"a change without a value", cmdEOM, []packet{{actAddHeader, "X-A"}}},
		{"two fields in one change", cmdEOM, []packet{{actAddHeader, "X-A: 1\r\nX-B\x002\x00"}}},
		{"a recipient without an address", cmdEOM, []packet{{actAddRcpt, "<>\x00"}}},
		{"a change before the end", cmdMail, []packet{{actAddHeader, "X-A\x001\x00"}}},
		{"a reply without a code", cmdEOM, []packet{{actReplyCode, ""}}},
		{"a reply with an incomplete code", cmdData, []packet{{actReplyCode, "55\x00"}}},
		{"a reply without digits to DATA", cmdData, []packet{{actReplyCode, "no\x00"}}},
		{"a change in reply to DATA", cmdData, []packet{{actDelRcpt, "<b@example.com>\x00"}}},
		{"SKIP where there is no body", cmdMail, []packet{{actSkip, ""}}},
		{"SKIP at the end", cmdEOM, []packet{{actSkip, ""}}},
		{"two replies to one command", cmdMail, []packet{{actContinue, ""}, {actContinue, ""}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := startFake(t, &fake{script: map[byte][]packet{c.at: c.say}})
			agenttest.Refused(t, 451, "a@example.org", []string{"b@example.com"}, message, (&Client{Address: f.addr}).Agent())
		})
	}
}

// Replies that go-milter's client treats as errors, although they are valid.
func TestRepliesThatGoMilterRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		at   byte
		say  packet
		code int
		text string
	}{
		{"a code without a text", cmdEOM, packet{actReplyCode, "554\x00"}, 554, ""},
		{"shutdown", cmdEOM, packet{actShutdown, ""}, 421, "4.7.0 Closing the connection"},
		{"connection failure", cmdMail, packet{actConnFail, ""}, 451, "4.7.1 Try again later"},
		{"refusal of DATA", cmdData, packet{actReject, ""}, 550, "5.7.1 Refused by a content filter"},
		{"own reply to DATA", cmdData, packet{actReplyCode, "550-5.7.1 one\r\n550 5.7.1 two\r\n\x00"}, 550, "5.7.1 one\n5.7.1 two"},
		{"shutdown at DATA", cmdData, packet{actShutdown, ""}, 421, "4.7.0 Closing the connection"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := startFake(t, &fake{script: map[byte][]packet{c.at: {c.say}}})
			text := agenttest.Refused(t, c.code, "a@example.org", []string{"b@example.com"}, message, (&Client{Address: f.addr, PassWhenDown: true}).Agent())
			if !strings.Contains(text, c.text) {
				t.Errorf("text %q, want %q", text, c.text)
			}
		})
	}
	f := startFake(t, &fake{script: map[byte][]packet{cmdEOM: {{actAddRcptPar, "<c@example.com>\x00NOTIFY=NEVER\x00"}}}})
	got := agenttest.Relay(t, "a@example.org", []string{"b@example.com"}, message, (&Client{Address: f.addr}).Agent())
	if !slices.Equal(got.To, []string{"b@example.com", "c@example.com"}) {
		t.Errorf("recipients %q", got.To)
	}
}

// over negotiates with the milter at the other end of conn.
func over(conn net.Conn) (*conversation, error) {
	v := &conversation{c: &Client{Quarantine: "q@example.com"}, guard: newGuard(conn)}
	v.guard.budget = replyAllowance
	return v, v.negotiate()
}

// piped runs f with a conversation. After the negotiation, the function milter
// writes the replies of the milter. piped returns when the conversation ends.
func piped(t *testing.T, milter func(net.Conn), f func(*conversation)) {
	ours, its := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer its.Close()
		if _, _, err := hear(its); err != nil {
			t.Error(err)
		}
		its.Write(wire(cmdOptNeg, (&fake{version: 6, actions: allActions}).options()))
		milter(its)
	}()
	v, err := over(ours)
	if err != nil {
		t.Fatal(err)
	}
	f(v)
	v.hangUp()
	<-done
}

func TestProgressDoesNotExtendDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		progress := func(c net.Conn) {
			hear(c) // macros
			hear(c)
			for tick := time.NewTicker(time.Second); ; <-tick.C {
				if _, err := c.Write(wire(actProgress, "")); err != nil {
					return
				}
			}
		}
		piped(t, progress, func(v *conversation) {
			start := time.Now()
			err := v.within(t.Context(), 30*time.Second, 0, func() error {
				_, err := v.rcpt(new(smtpserver.Message), "b@example.com")
				return err
			})
			if took := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || took != 30*time.Second {
				t.Errorf("%v after %v", err, took)
			}
		})
		// The wait ends when the context ends.
		piped(t, progress, func(v *conversation) {
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			err := v.within(ctx, 30*time.Second, 0, func() error {
				_, err := v.rcpt(new(smtpserver.Message), "b@example.com")
				return err
			})
			if took := time.Since(start); err == nil || took != 5*time.Second {
				t.Errorf("%v after %v", err, took)
			}
		})
	})
}

// A milter that does not read does not delay the end of a session.
func TestQuitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait := make(chan struct{})
		piped(t, func(net.Conn) { <-wait }, func(v *conversation) {
			start := time.Now()
			v.quit()
			if took := time.Since(start); took != time.Second {
				t.Errorf("took %v", took)
			}
			close(wait)
		})
	})
}

// A NUL ends a string. The text after it must not become another string.
func TestNoNULOnTheWire(t *testing.T) {
	m := newMessage(t)
	if err := m.SetContent(content.Of([]byte("X-A: 1\x002\r\n\r\n"))); err != nil {
		t.Fatal(err)
	}
	m.ID = "1\x00{auth_authen}"
	var heard []string
	piped(t, func(c net.Conn) {
		for {
			cmd, data, err := hear(c)
			if err != nil {
				return
			}
			heard = append(heard, string(cmd)+strings.ReplaceAll(string(data), "\x00", "|"))
			if cmd != cmdMacro {
				c.Write(wire(actContinue, ""))
			}
		}
	}, func(v *conversation) {
		if _, err := v.rcpt(m, "b\x00c@example.com"); err != nil {
			t.Error(err)
		}
		if _, err := v.content(m); err != nil {
			t.Error(err)
		}
	})
	want := []string{"DRi|1{auth_authen}|{rcpt_addr}|bc@example.com|{rcpt_mailer}|esmtp|{rcpt_host}|example.com|", "R<bc@example.com>|", "LX-A|12|", "DNi|1{auth_authen}|", "N"}
	if !slices.Equal(heard, want) {
		t.Errorf("the milter heard\n%q\nwant\n%q", heard, want)
	}
}

// From a packet of NULs, go-milter would make as many arguments.
func TestArgumentsOfASenderAreLeftOut(t *testing.T) {
	piped(t, func(c net.Conn) {
		hear(c)
		hear(c)
		c.Write(wire(actChangeFrom, "<x@example.com>"+strings.Repeat("\x00", maxPacket-20)))
		c.Write(wire(actContinue, ""))
	}, func(v *conversation) {
		changes, r, err := v.end(newMessage(t))
		if err != nil || r != proceed || len(changes) != 1 || changes[0].From != "<x@example.com>" || len(changes[0].FromArgs) != 0 {
			t.Errorf("%v %v, %d arguments", r, err, len(changes[0].FromArgs))
		}
	})
}

// scripted is a connection to a milter that sends its data independently of the
// commands.
type scripted struct {
	net.Conn
	*bytes.Reader
}

func (s scripted) Read(b []byte) (int, error) { return s.Reader.Read(b) }
func (scripted) Write(b []byte) (int, error)  { return len(b), nil }
func (scripted) SetDeadline(time.Time) error  { return nil }
func (scripted) Close() error                 { return nil }

// FuzzMilter sends any data as replies of a milter. For each input, a refusal
// has a code of 400 to 599, and a message that passes is well-formed.
func FuzzMilter(f *testing.F) {
	hello := string(wire(cmdOptNeg, (&fake{version: 6, actions: allActions}).options()))
	// The commands are MAIL, RCPT, DATA, four fields, the end of the header,
	// and the body.
	proceed := strings.Repeat(string(wire(actContinue, "")), 9)
	for _, end := range [][]byte{
		wire(actContinue, ""),
		wire(actReplyCode, "550 5.7.1 no\x00"),
		wire(actReplyCode, "550-5.7.1 a\r\n550 b"),
		slices.Concat(wire(actInsHeader, index(1, "X-A", "b")), wire(actAddHeader, "X-B\x00c\r\n\td\x00"), wire(actChgHeader, index(2, "X-A", "")), wire(actAccept, "")),
		slices.Concat(wire(actAddRcptPar, "<a@example.com>\x00NOTIFY=NEVER\x00"), wire(actDelRcpt, "<b@example.com>\x00"), wire(actChangeFrom, "<>\x00"), wire(actContinue, "")),
		slices.Concat(wire(actReplBody, "a\nb"), wire(actReplBody, "\r\n"), wire(actQuarantine, "virus\x00"), wire(actContinue, "")),
		wire(actShutdown, ""),
		{0, 0, 0, 0},
		{0xff, 0xff, 0xff, 0xff, 'b'},
	} {
		f.Add([]byte(hello + proceed + string(end)))
	}
	f.Add([]byte(hello + string(wire(actSkip, ""))))
	f.Add([]byte(hello + proceed[:10] + string(wire(actReplyCode, "451\x00"))))
	f.Fuzz(func(t *testing.T, said []byte) {
		m := newMessage(t)
		m.From, m.Recipients = "a@example.org", []smtpserver.Recipient{{Addr: "b@example.com"}}
		s := new(smtpserver.Session)
		v, err := over(scripted{Reader: bytes.NewReader(said)})
		if err != nil {
			return
		}
		var changes []gomilter.ModifyAction
		for _, ask := range []func() (reply, error){
			func() (reply, error) { return v.mail(s, m) },
			func() (reply, error) { return v.rcpt(m, "b@example.com") },
			func() (reply, error) { return v.data(m) },
			func() (reply, error) { return v.content(m) },
			func() (r reply, err error) { changes, r, err = v.end(m); return r, err },
		} {
			r, err := ask()
			if err != nil {
				return
			}
			if e := r.smtp; e != nil && (e.Code < 400 || e.Code > 599) {
				t.Fatalf("a refusal is %+v", e)
			}
			if r.err() != nil {
				return
			}
		}
		before := len(m.Header.Fields())
		if v.apply(s, m, changes) == nil {
			wellFormed(t, m, before+len(changes))
		}
	})
}

func wellFormed(t *testing.T, m *smtpserver.Message, fields int) {
	again := new(smtpserver.Message)
	if err := again.SetContent(m.Content()); err != nil {
		t.Fatal(err)
	}
	if n := len(again.Header.Fields()); n > fields || again.Body.Size() != m.Body.Size() {
		t.Fatalf("%d fields of at most %d, a body of %d bytes of %d", n, fields, again.Body.Size(), m.Body.Size())
	}
	var b bytes.Buffer
	if _, err := m.Content().WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	if crlf := bytes.Count(b.Bytes(), []byte("\r\n")); crlf != bytes.Count(b.Bytes(), []byte("\n")) || crlf != bytes.Count(b.Bytes(), []byte("\r")) {
		t.Fatalf("line ends of %q", b.Bytes())
	}
	for _, r := range m.Recipients {
		if r.Addr == "" || strings.ContainsAny(r.Addr, "<>\r\n\x00") {
			t.Fatalf("recipient %q", r.Addr)
		}
	}
	if strings.ContainsAny(m.From, "<>\r\n\x00") {
		t.Fatalf("sender %q", m.From)
	}
}

// libmilter writes a change and the reply in two packets. The received data is
// acknowledged immediately, so that libmilter does not wait.
func TestChangesAreAcknowledged(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	acks := 0
	g := newGuard(client)
	g.budget, g.ack = 1<<20, func() { acks++ }
	go func() {
		defer server.Close()
		for _, p := range []packet{{actProgress, ""}, {actAddHeader, "A\x00b\x00"}, {actQuarantine, "x\x00"}, {actContinue, ""}} {
			server.Write(wire(p.cmd, p.data))
		}
		server.Write(append(wire(actAddHeader, "A\x00b\x00"), wire(actContinue, "")...)) // both in one packet
	}()
	for i, want := range []int{2, 3, 3, 3, 3} {
		if _, err := g.receive(); err != nil || acks != want {
			t.Errorf("packet %d: %d acknowledgements, want %d, %v", i, acks, want, err)
		}
	}
}
