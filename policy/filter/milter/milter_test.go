package milter

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	gomilter "github.com/emersion/go-milter"
	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/policy/internal/agenttest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

const message = "Received: from x\r\nSubject:  two spaces\r\n\tand a fold\r\nX-A: 1\r\nx-a: 2\r\n\r\nbody\r\n.dot\r\n"

func TestMilterGetsAllEvents(t *testing.T) {
	f := startFake(t, &fake{})
	c := &Client{Address: f.addr}
	s := agenttest.Start(t, c.Agent())
	client := s.Dial(t)
	for range 2 {
		if code, text := client.Send("a@example.org", []string{"b@example.com", "c@example.com"}, message); code != 250 {
			t.Fatal(code, text)
		}
	}
	client.Want(250, "MAIL FROM:<>")
	client.Want(250, "RSET")
	client.Want(250, "MAIL FROM:<d@example.org>")
	client.Want(221, "QUIT")
	s.Close()
	for _, m := range s.Accepted() {
		if m.Data != message {
			t.Errorf("the message left as %q", m.Data)
		}
	}
	one := []string{"M <a@example.org>", "R <b@example.com>", "R <c@example.com>", "T ", "L Received|from x",
		"L Subject| two spaces\n\tand a fold", "L X-A|1", "L x-a|2", "N ", "B body\r\n.dot\r\n", "E "}
	want := slices.Concat([]string{"H client.example.org"}, one, one, []string{"M <>", "A ", "M <d@example.org>"})
	if got := f.commands(); len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
		t.Errorf("the milter heard\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if n := c.Counters(); n.Sessions != 1 || n.Messages != 2 || n.Refused != 0 {
		t.Errorf("counters %+v", n)
	}
}

func TestChangesAffectOnlyTheNamedFields(t *testing.T) {
	for _, c := range []struct {
		name    string
		changes []packet
		steps   gomilter.OptProtocol
		data    string
		from    string
		to      string
	}{
		{"none", []packet{{actAccept, ""}}, 0, message, "", ""},
		{"add a field", []packet{{actAddHeader, "X-B\x00new\x00"}}, 0,
			strings.Replace(message, "\r\n\r\n", "\r\nX-B: new\r\n\r\n", 1), "", ""},
		{"add a folded field as it is", []packet{{actAddHeader, "X-B\x00  new\n\tfold\x00"}}, gomilter.OptHeaderLeadingSpace,
			strings.Replace(message, "\r\n\r\n", "\r\nX-B:  new\r\n\tfold\r\n\r\n", 1), "", ""},
		{"no second field in a value", []packet{{actAddHeader, "X-B\x00new\r\nX-Evil: 1\r\n\r\nbody\x00"}}, 0,
			strings.Replace(message, "\r\n\r\n", "\r\nX-B: new\r\n\tX-Evil: 1\r\n\tbody\r\n\r\n", 1), "", ""},
		{"insert first", []packet{{actInsHeader, index(0, "X-B", "new")}}, 0, "X-B: new\r\n" + message, "", ""},
		{"insert before the second", []packet{{actInsHeader, index(2, "X-B", "new")}}, 0,
			strings.Replace(message, "Subject", "X-B: new\r\nSubject", 1), "", ""},
		{"change the second", []packet{{actChgHeader, index(2, "X-A", "new")}}, 0,
			strings.Replace(message, "x-a: 2", "X-A: new", 1), "", ""},
		{"delete the first", []packet{{actChgHeader, index(1, "X-A", "")}}, 0,
			strings.Replace(message, "X-A: 1\r\n", "", 1), "", ""},
		{"new body", []packet{{actReplBody, "new\nbo"}, {actReplBody, "dy\r\n"}}, 0,
			message[:strings.Index(message, "body")] + "new\r\nbody\r\n", "", ""},
		{"envelope", []packet{{actChangeFrom, "<bounce@example.com>\x00"}, {actAddRcpt, "<c@example.com>\x00"}, {actDelRcpt, "<b@example.com>\x00"}}, 0,
			message, "bounce@example.com", "c@example.com"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := startFake(t, &fake{steps: c.steps, script: map[byte][]packet{cmdEOM: c.changes}})
			got := agenttest.Relay(t, "a@example.org", []string{"b@example.com"}, message, (&Client{Address: f.addr}).Agent())
			if got.Data != c.data {
				t.Errorf("data\n%q\nwant\n%q", got.Data, c.data)
			}
			if c.from != "" && (got.From != c.from || !slices.Equal(got.To, []string{c.to})) {
				t.Errorf("envelope %s %s", got.From, got.To)
			}
		})
	}
}

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		name string
		at   byte
		say  packet
		code int
		text string
	}{
		{"reject a recipient", cmdRcpt, packet{actReject, ""}, 550, "5.7.1 Refused by a content filter"},
		{"tempfail MAIL", cmdMail, packet{actTempFail, ""}, 451, "4.7.1 Try again later"},
		{"own reply", cmdEOM, packet{actReplyCode, "554 5.7.9 100%% spam\x00"}, 554, "5.7.9 100% spam"},
		{"own reply of two lines", cmdEOM, packet{actReplyCode, "550-5.7.1 one\r\n550 5.7.1 two\x00"}, 550, "5.7.1 one\n5.7.1 two"},
		{"reply after a header field", cmdHeader, packet{actReject, ""}, 550, "5.7.1 Refused by a content filter"},
		{"reply after a body chunk", cmdBody, packet{actTempFail, ""}, 451, "4.7.1 Try again later"},
		{"close", cmdMail, packet{actShutdown, ""}, 421, "4.7.0 Closing the connection"},
		{"success as a refusal", cmdEOM, packet{actReplyCode, "250 2.0.0 ok\x00"}, 451, errDown.Message},
		{"unknown action", cmdEOM, packet{'?', ""}, 451, errDown.Message},
		{"quarantine without an address", cmdEOM, packet{actQuarantine, "x\x00"}, 550, "5.7.1 Refused by a content filter"},
		{"an invalid address", cmdEOM, packet{actAddRcpt, "<a b>\x00"}, 451, errDown.Message},
		{"connection closed at RCPT", cmdRcpt, packet{hangUp, ""}, 451, errDown.Message},
		{"connection closed at the end of data", cmdEOM, packet{hangUp, ""}, 451, errDown.Message},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := startFake(t, &fake{script: map[byte][]packet{c.at: {c.say}}})
			text := agenttest.Refused(t, c.code, "a@example.org", []string{"b@example.com"}, message, (&Client{Address: f.addr}).Agent())
			if !strings.Contains(text, c.text) {
				t.Errorf("text %q, want %q", text, c.text)
			}
		})
	}
}

// If a milter fails between two recipients, the message does not pass
// unfiltered.
func TestMilterFailsBetweenRecipients(t *testing.T) {
	f := startFake(t, &fake{script: map[byte][]packet{cmdData: {{hangUp, ""}}}})
	s := agenttest.Start(t, (&Client{Address: f.addr}).Agent())
	c := s.Dial(t)
	c.Want(250, "MAIL FROM:<a@example.org>")
	c.Want(250, "RCPT TO:<b@example.com>")
	c.Want(451, "DATA")
	f.healed.Store(true)
	if code, text := c.Send("a@example.org", []string{"b@example.com"}, message); code != 250 {
		t.Errorf("the next message: %d %s", code, text)
	}
}

func TestDown(t *testing.T) {
	c := &Client{Address: "/nonexistent/milter.sock"}
	agenttest.Refused(t, 451, "a@example.org", []string{"b@example.com"}, message, c.Agent())
	var log bytes.Buffer
	c = &Client{Address: "/nonexistent/milter.sock", PassWhenDown: true, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	if got := agenttest.Relay(t, "a@example.org", []string{"b@example.com"}, message, c.Agent()); got.Data != message {
		t.Errorf("data %q", got.Data)
	}
	if !strings.Contains(log.String(), "milter failed") || c.Counters().Passed != 1 {
		t.Errorf("the failure is not logged: %q %+v", log.String(), c.Counters())
	}
}

func TestMilterTimeout(t *testing.T) {
	f := startFake(t, &fake{script: map[byte][]packet{cmdMail: {{actProgress, ""}}}})
	c := &Client{Address: f.addr, CommandTimeout: 50 * time.Millisecond}
	agenttest.Refused(t, 451, "a@example.org", []string{"b@example.com"}, message, c.Agent())
}

func TestAcceptAndDiscard(t *testing.T) {
	f := startFake(t, &fake{script: map[byte][]packet{cmdMail: {{actAccept, ""}}, cmdRcpt: {{actReject, ""}}}})
	agenttest.Relay(t, "a@example.org", []string{"b@example.com"}, message, (&Client{Address: f.addr}).Agent())

	f = startFake(t, &fake{script: map[byte][]packet{cmdEOM: {{actDiscard, ""}}}})
	s := agenttest.Start(t, (&Client{Address: f.addr}).Agent())
	if code, _ := s.Dial(t).Send("a@example.org", []string{"b@example.com"}, message); code != 250 || len(s.Accepted()) != 0 {
		t.Errorf("discard: %d, %d accepted", code, len(s.Accepted()))
	}
}

// Mail in quarantine keeps the list of its recipients after the changes of the
// milter, so that it can be released. Forged fields of the sender are removed.
func TestQuarantine(t *testing.T) {
	forged := "X-Quarantine-Recipient: <forged@example.com>\r\n" + message
	for name, c := range map[string]struct {
		script []packet
		keeps  []string
	}{
		"alone":           {[]packet{{actQuarantine, "virus\x00"}}, []string{"b@example.com", "c@example.com"}},
		"changed before":  {[]packet{{actDelRcpt, "<b@example.com>\x00"}, {actAddRcpt, "<d@example.com>\x00"}, {actQuarantine, "virus\x00"}}, []string{"c@example.com", "d@example.com"}},
		"changed after":   {[]packet{{actQuarantine, "virus\x00"}, {actDelRcpt, "<b@example.com>\x00"}, {actAddRcpt, "<d@example.com>\x00"}}, []string{"c@example.com", "d@example.com"}},
		"asked for twice": {[]packet{{actQuarantine, "spam\x00"}, {actQuarantine, "virus\x00"}}, []string{"b@example.com", "c@example.com"}},
	} {
		f := startFake(t, &fake{script: map[byte][]packet{cmdEOM: c.script}})
		got := agenttest.Relay(t, "a@example.org", []string{"b@example.com", "c@example.com"}, forged,
			(&Client{Address: f.addr, Quarantine: "quarantine@example.com"}).Agent())
		want := "X-Quarantine-Reason: virus\r\n"
		for _, to := range c.keeps {
			want += "X-Quarantine-Recipient: <" + to + ">\r\n"
		}
		head, _, _ := strings.Cut(got.Data, "\r\n\r\n")
		if !slices.Equal(got.To, []string{"quarantine@example.com"}) || !strings.HasSuffix(head+"\r\n", want) || strings.Contains(head, "forged") {
			t.Errorf("%s: %s %q", name, got.To, got.Data)
		}
	}
	// Without recipients there is nothing to record. Without an address there
	// is no quarantine.
	f := startFake(t, &fake{script: map[byte][]packet{cmdEOM: {{actDelRcpt, "<b@example.com>\x00"}, {actQuarantine, "virus\x00"}}}})
	s := agenttest.Start(t, (&Client{Address: f.addr, Quarantine: "quarantine@example.com"}).Agent())
	if code, _ := s.Dial(t).Send("a@example.org", []string{"b@example.com"}, message); code != 250 || len(s.Accepted()) != 0 {
		t.Errorf("no recipient: %d, %d accepted", code, len(s.Accepted()))
	}
	f = startFake(t, &fake{script: map[byte][]packet{cmdEOM: {{actQuarantine, "virus\x00"}}}})
	agenttest.Refused(t, 550, "a@example.org", []string{"b@example.com"}, message, (&Client{Address: f.addr}).Agent())
}

// The macros are the default macros of sendmail.
func TestMacros(t *testing.T) {
	f := startFake(t, &fake{})
	author := "bob@example.net"
	login := smtpserver.Agent{
		Name: "login",
		Helo: func(_ context.Context, s *smtpserver.Session, _ string) error {
			s.SetIdentity("alice")
			return nil
		},
		Mail: func(_ context.Context, s *smtpserver.Session, _ string, _ *smtp.MailOptions) error {
			s.Message().Options.Auth = &author
			return nil
		},
	}
	s := agenttest.Start(t, login, (&Client{Address: f.addr}).Agent())
	c := s.Dial(t)
	c.Want(250, "MAIL FROM:<a@Example.org>")
	c.Want(250, "RCPT TO:<b@example.com>")
	c.Want(354, "DATA")
	c.Want(250, "Message-ID:\r\n <1@example.org>\r\nSubject: x\r\n\r\nx\r\n.")
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, want := range map[string]string{
		"Cj": s.Hostname, "C{daemon_name}": "smtp", "Cv": "Bridgehead", "C{if_name}": s.Hostname, "C{if_addr}": "127.0.0.1", "C_": "[127.0.0.1]",
		"M{mail_addr}": "a@Example.org", "M{mail_host}": "example.org", "M{mail_mailer}": "esmtp",
		"M{auth_type}": "SASL", "M{auth_authen}": "alice", "M{auth_author}": "bob@example.net",
		"R{rcpt_addr}": "b@example.com", "R{rcpt_host}": "example.com", "R{rcpt_mailer}": "esmtp",
		"E{msg_id}": "<1@example.org>", "Ei": s.Accepted()[0].ID, "Mi": s.Accepted()[0].ID, "Ri": s.Accepted()[0].ID,
	} {
		if got, found := f.macros[name]; got != want || !found {
			t.Errorf("%s is %q (%v), want %q", name, got, found, want)
		}
	}
	for _, name := range []string{"M{auth_ssf}", "H{cipher_bits}"} {
		if got, found := f.macros[name]; found {
			t.Errorf("%s is %q", name, got)
		}
	}
}

// The "secret bits" of OpenSSL for the ciphers that the server negotiates.
func TestCipherBits(t *testing.T) {
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		want := "128"
		switch suite.ID {
		case tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_RSA_WITH_AES_256_CBC_SHA, tls.TLS_RSA_WITH_AES_256_GCM_SHA384:
			want = "256"
		case tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA:
			want = "112"
		}
		if got := cipherBits(suite.Name); got != want {
			t.Errorf("%s: %s bits, want %s", suite.Name, got, want)
		}
	}
}

func TestChangeThatWasNotNegotiated(t *testing.T) {
	f := startFake(t, &fake{actions: gomilter.OptAddHeader, script: map[byte][]packet{cmdEOM: {{actDelRcpt, "<b@example.com>\x00"}}}})
	agenttest.Refused(t, 451, "a@example.org", []string{"b@example.com"}, message, (&Client{Address: f.addr}).Agent())
}

func TestStepsThatTheMilterDoesNotWant(t *testing.T) {
	f := startFake(t, &fake{steps: gomilter.OptNoConnect | gomilter.OptNoHelo | gomilter.OptNoMailFrom | gomilter.OptNoRcptTo | gomilter.OptNoData | gomilter.OptNoHeaders | gomilter.OptNoEOH | gomilter.OptNoBody})
	agenttest.Relay(t, "a@example.org", []string{"b@example.com"}, message, (&Client{Address: f.addr}).Agent())
	if got := f.commands(); !slices.Equal(got[:1], []string{"E "}) {
		t.Errorf("heard %q", got)
	}
	f = startFake(t, &fake{script: map[byte][]packet{cmdBody: {{actSkip, ""}}}, steps: gomilter.OptSkip})
	long := "Subject: x\r\n\r\n" + strings.Repeat("0123456789abcdef0123456789abcdef\r\n", 5000)
	if got := agenttest.Relay(t, "a@example.org", []string{"b@example.com"}, long, (&Client{Address: f.addr}).Agent()); got.Data != long {
		t.Error("the message has changed")
	}
	bodies := 0
	for _, h := range f.commands() {
		if h[0] == cmdBody {
			bodies++
		}
	}
	if bodies != 1 {
		t.Errorf("%d chunks after skip", bodies)
	}
}

func TestBodiesOfAllSizes(t *testing.T) {
	for _, size := range []int{0, 2, gomilter.MaxBodyChunk, gomilter.MaxBodyChunk + 1, 2*gomilter.MaxBodyChunk + 100} {
		body := strings.Repeat("0123456789abcdef0123456789abcdef\r\n", size/34+1)[:size]
		if size > 1 {
			body = body[:size-2] + "\r\n"
		}
		body = strings.ReplaceAll(body, "\r\r\n", "x\r\n")
		f := startFake(t, &fake{})
		c := &Client{Address: f.addr, ContentTimeout: 10 * time.Second}
		data := "Subject: x\r\n\r\n" + body
		if got := agenttest.Relay(t, "a@example.org", []string{"b@example.com"}, data, c.Agent()); got.Data != data {
			t.Errorf("%d bytes: the message has changed", size)
		}
		heard := ""
		for _, h := range f.commands() {
			if h[0] == cmdBody {
				heard += h[2:]
			}
		}
		if heard != body {
			t.Errorf("%d bytes: the milter heard %d", size, len(heard))
		}
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []*Client{{}, {Address: "x", Quarantine: "no address"}} {
		if c.Validate() == nil {
			t.Errorf("%+v passes", c)
		}
	}
	if err := (&Client{Address: "127.0.0.1:11332", Quarantine: "q@example.com"}).Validate(); err != nil {
		t.Error(err)
	}
}

// If an earlier agent accepts at MAIL, the milter does not get that event. At
// the end of data it gets all events.
func TestEventsThatTheMilterDoesNotGet(t *testing.T) {
	f := startFake(t, &fake{})
	accept := func() error { return smtpserver.ErrAccept }
	first := smtpserver.Agent{
		Name:    "first",
		Connect: func(context.Context, *smtpserver.Session) error { return accept() },
		Mail:    func(context.Context, *smtpserver.Session, string, *smtp.MailOptions) error { return accept() },
		Rcpt:    func(context.Context, *smtpserver.Session, string, *smtp.RcptOptions) error { return accept() },
		Data:    func(context.Context, *smtpserver.Session) error { return accept() },
	}
	c := &Client{Address: f.addr}
	s := agenttest.Start(t, first, c.Agent())
	client := s.Dial(t)
	for range 2 {
		if code, text := client.Send("a@example.org", []string{"b@example.com"}, message); code != 250 {
			t.Fatal(code, text)
		}
	}
	one := []string{"M <a@example.org>", "R <b@example.com>", "T ", "L Received|from x"}
	got := f.commands()
	if !slices.Equal(got[:5], append([]string{"H client.example.org"}, one...)) || !slices.Equal(got[11:15], one) {
		t.Errorf("the milter heard\n%s", strings.Join(got, "\n"))
	}
	if n := c.Counters(); n.Messages != 2 {
		t.Errorf("counters %+v", n)
	}
	// The milter can still refuse.
	f = startFake(t, &fake{script: map[byte][]packet{cmdRcpt: {{actReject, ""}}}})
	agenttest.Refused(t, 550, "a@example.org", []string{"b@example.com"}, message, first, (&Client{Address: f.addr}).Agent())
	agenttest.Refused(t, 451, "a@example.org", []string{"b@example.com"}, message, first, (&Client{Address: "/nonexistent"}).Agent())
}

func TestMilterRefusesClient(t *testing.T) {
	f := startFake(t, &fake{script: map[byte][]packet{cmdConnect: {{actReject, ""}}}})
	s := agenttest.Start(t, (&Client{Address: f.addr}).Agent())
	if code, text := s.Connect(t).Read(); code/100 != 5 {
		t.Errorf("the banner is %d %s", code, text)
	}
	// This is also so if the milter is asked at MAIL for the first time, and
	// again at the next MAIL.
	first := smtpserver.Agent{Name: "first", Connect: func(context.Context, *smtpserver.Session) error { return smtpserver.ErrAccept }}
	client := agenttest.Start(t, first, (&Client{Address: f.addr}).Agent()).Dial(t)
	for range 2 {
		client.Want(550, "MAIL FROM:<a@example.org>")
	}
	f = startFake(t, &fake{script: map[byte][]packet{cmdHelo: {{actReplyCode, "550 5.7.1 What a name\x00"}}}})
	c := agenttest.Start(t, (&Client{Address: f.addr}).Agent()).Connect(t)
	c.Read()
	c.Want(550, "EHLO client.example.org")
}
