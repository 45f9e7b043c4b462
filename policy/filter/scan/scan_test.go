package scan

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy/filter/content"
	"github.com/bridgehead-mail/bridgehead/policy/internal/agenttest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const mail = "From: a@example.org\r\nTo: b@example.com\r\nSubject: hello\r\n\r\nNothing to see.\r\n.\r\n"

var to = []string{"b@example.com"}

// says starts a scanner that reads until end and then sends reply.
func says(t *testing.T, end, reply string) string {
	return peers.Serve(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		var all []byte
		for !bytes.HasSuffix(all, []byte(end)) {
			b, err := r.ReadByte()
			if err != nil {
				return
			}
			all = append(all, b)
		}
		io.WriteString(c, reply)
	})
}

// A reply that is not a verdict causes a 451. The message does not pass.
func TestRepliesThatAreNotVerdicts(t *testing.T) {
	const end = ".\r\n"
	for _, reply := range []string{
		"", "\x00", "stream: \x00", "stream: INSTREAM size limit exceeded. ERROR\x00", "OK\x00",
		"stream: OK", strings.Repeat("x", 100000), "stream: OK\r\n",
	} {
		c := &Clamd{Address: says(t, end+"\x00\x00\x00\x00", reply)}
		agenttest.Refused(t, 451, "a@example.org", to, mail, c.Agent())
		if n := c.Counters(); n.Failed != 1 || n.Scanned != 0 {
			t.Errorf("%q: counters %+v", reply, n)
		}
	}
	for _, reply := range []string{
		"", "SPAMD/1.1 76 EX_PROTOCOL\r\n\r\n", "HTTP/1.1 0 OK\r\nSpam: False ; 0 / 5\r\nContent-length: 0\r\n\r\n",
		"SPAMD/1.1 0 EX_OK\r\n\r\n", "SPAMD/1.1 0 EX_OK\r\nSpam: False ; 0 / 5\r\n\r\n",
		"SPAMD/1.1 0 EX_OK\r\nSpam: False\r\nContent-length: 0\r\n\r\n",
		"SPAMD/1.1 0 EX_OK\r\nSpam: False ; 0 / 5\r\nContent-length: 10\r\n\r\nX",
		"SPAMD/1.1 0 EX_OK\r\nSpam: False ; 0 / 5\r\nContent-length: 100000000\r\n\r\nX",
		"SPAMD/1.1 0 EX_OK\r\nSpam: False ; inf / inf\r\nContent-length: 0\r\n\r\n",
		"SPAMD/1.1 0 EX_OK\r\nSpam: True ; nan / 5\r\nContent-length: 0\r\n\r\n",
		strings.Repeat("SPAMD", 100000),
	} {
		c := &Spamd{Address: says(t, end, reply)}
		agenttest.Refused(t, 451, "a@example.org", to, mail, c.Agent())
	}
	for _, reply := range []string{
		"", "{}", `{"action":"pass"}`, `{"action":"accept","scl":10}`, `{"action":"accept","header":[{"name":"A: b\r\nC","value":"d"}]}`,
		`{"action":"accept","reply":"` + strings.Repeat("x", 100000) + `"}`, `{"action":"acc`,
	} {
		srv := web(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, reply) })
		agenttest.Refused(t, 451, "a@example.org", to, mail, srv.Agent())
	}
	for _, status := range []int{204, 302, 404, 500} {
		srv := web(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			if status == 404 {
				io.WriteString(w, `{"action":"accept"}`)
			}
		})
		agenttest.Refused(t, 451, "a@example.org", to, mail, srv.Agent())
	}
}

// The names of rules in X-Spam-Status make neither a line that is too long for
// mail nor a header without limit.
func TestHostileSymbols(t *testing.T) {
	names := strings.Repeat("X", 5000) + strings.Repeat(",Y", 20000)
	c := &Spamd{Address: says(t, ".\r\n", fmt.Sprintf("SPAMD/1.1 0 EX_OK\r\nSpam: False ; 0 / 5\r\nContent-length: %d\r\n\r\n%s", len(names), names))}
	got := agenttest.Relay(t, "a@example.org", to, mail, c.Agent())
	if len(got.Data) > 10_000 {
		t.Errorf("%d bytes", len(got.Data))
	}
	for line := range strings.Lines(got.Data) {
		if len(line) > 200 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
}

// A verdict does not count if it comes before spamd has read the message.
func TestEarlyVerdict(t *testing.T) {
	c := &Spamd{MaxSize: 64 << 20, Address: peers.Serve(t, func(c net.Conn) {
		io.WriteString(c, "SPAMD/1.1 0 EX_OK\r\nSpam: False ; 0 / 5\r\nContent-length: 0\r\n\r\n")
		c.(*net.TCPConn).SetLinger(0)
	})}
	big := mail + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 300_000)
	agenttest.Refused(t, 451, "a@example.org", to, big, c.Agent())
}

func TestDown(t *testing.T) {
	const dead = "/nonexistent/scanner"
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	for _, c := range []struct {
		closed, open interface {
			Agent() smtpserver.Agent
			Counters() Counters
		}
	}{
		{&Clamd{Address: dead}, &Clamd{Address: dead, PassWhenDown: true, Logger: logger}},
		{&Spamd{Address: dead}, &Spamd{Address: dead, PassWhenDown: true, Logger: logger}},
		{&HTTP{URL: "http://user:secret@127.0.0.1:1/"}, &HTTP{URL: "http://user:secret@127.0.0.1:1/", PassWhenDown: true, Logger: logger}},
	} {
		agenttest.Refused(t, 451, "a@example.org", to, mail, c.closed.Agent())
		log.Reset()
		if got := agenttest.Relay(t, "a@example.org", to, mail, c.open.Agent()); got.Data != mail {
			t.Errorf("%T changed the message: %q", c.open, got.Data)
		}
		if n := c.open.Counters(); n.Passed != 1 || n.Failed != 1 || !strings.Contains(log.String(), "scanner failed") {
			t.Errorf("%T does not show that mail passed: %+v %q", c.open, n, log.String())
		}
		if strings.Contains(log.String(), "secret") {
			t.Errorf("the log has the password: %s", log.String())
		}
	}
}

func TestSlowScannerEndsWithTheTimeout(t *testing.T) {
	silent := peers.Serve(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	agenttest.Refused(t, 451, "a@example.org", to, mail, (&Clamd{Address: silent, Timeout: 30 * time.Millisecond}).Agent())
	agenttest.Refused(t, 451, "a@example.org", to, mail, (&Spamd{Address: silent, Timeout: 30 * time.Millisecond}).Agent())
	agenttest.Refused(t, 451, "a@example.org", to, mail, (&HTTP{URL: "http://" + silent, Timeout: 30 * time.Millisecond}).Agent())
}

func TestOversize(t *testing.T) {
	const dead = "/nonexistent/scanner" // it must not be called
	agenttest.Refused(t, 552, "a@example.org", to, mail, (&Clamd{Address: dead, MaxSize: 10}).Agent())
	agenttest.Refused(t, 552, "a@example.org", to, mail, (&HTTP{URL: dead, MaxSize: 10}).Agent())
	agenttest.Relay(t, "a@example.org", to, mail, (&Clamd{Address: dead, MaxSize: 10, PassOversize: true}).Agent(),
		(&HTTP{URL: dead, MaxSize: 10, PassOversize: true}).Agent(), (&Spamd{Address: dead, MaxSize: 10}).Agent())
}

func TestSpamdRates(t *testing.T) {
	c := &Spamd{Address: says(t, ".\r\n", "SPAMD/1.1 0 EX_OK\r\nContent-length: 13\r\nSpam: True ; 15.3 / 5.0\r\n\r\nGTUBE,BA\rD\r\nX")}
	f := &content.Filter{Mark: 5}
	forged := "X-Spam-Status: No, score=-100\r\n" + mail
	got := agenttest.Relay(t, "a@example.org", to, forged, c.Agent(), f.Agent())
	want := strings.Replace(mail, "\r\n\r\n", "\r\nX-Spam-Status: Yes, score=15.3 required=5.0 tests=GTUBE, BA, D, X\r\n"+
		"X-MS-Exchange-Organization-SCL: 9\r\nX-Spam-Flag: YES\r\n\r\n", 1)
	if got.Data != want {
		t.Errorf("got\n%s\nwant\n%s", got.Data, want)
	}
}

// web starts an HTTP service.
func web(t *testing.T, f http.HandlerFunc) *HTTP {
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	return &HTTP{URL: srv.URL, Client: srv.Client(), Header: http.Header{"Authorization": {"Bearer x"}}}
}

func TestHTTP(t *testing.T) {
	var heard string
	answer := ""
	srv := web(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		heard = fmt.Sprint(r.Header.Get("X-Mail-From"), r.Header.Values("X-Rcpt-To"), r.Header.Get("X-Helo"), r.Header.Get("X-Client-IP"),
			r.Header.Get("Content-Type"), r.Header.Get("Authorization"), string(b))
		io.WriteString(w, answer)
	})
	two := []string{"b@example.com", "c@example.com"}
	answer = `{"action":"accept","scl":3,"header":[{"name":"X-Seen","value":"yes"}]}`
	got := agenttest.Relay(t, "a@example.org", two, mail, srv.Agent(), (&content.Filter{}).Agent())
	if want := strings.Replace(mail, "\r\n\r\n", "\r\nX-Seen: yes\r\nX-MS-Exchange-Organization-SCL: 3\r\n\r\n", 1); got.Data != want {
		t.Errorf("got\n%s", got.Data)
	}
	if want := "a@example.org[b@example.com c@example.com]client.example.org127.0.0.1message/rfc822Bearer x" + mail; heard != want {
		t.Errorf("the service got %q, want %q", heard, want)
	}

	answer = `{"action":"reject","reply":"no such thing\r\n250 here"}`
	if text := agenttest.Refused(t, 550, "a@example.org", to, mail, srv.Agent()); text != "5.7.1 no such thing\n5.7.1 250 here" {
		t.Errorf("%q", text)
	}
	answer = `{"action":"tempfail"}`
	agenttest.Refused(t, 451, "a@example.org", to, mail, srv.Agent())
	answer = `{"action":"quarantine"}`
	agenttest.Refused(t, 550, "a@example.org", to, mail, srv.Agent())
	srv.Quarantine = "q@example.com"
	if got := agenttest.Relay(t, "a@example.org", two, mail, srv.Agent()); !slices.Equal(got.To, []string{"q@example.com"}) {
		t.Errorf("quarantined to %s", got.To)
	}
	var observed []smtpserver.Action
	watched := agenttest.StartServer(t, &smtpserver.Server{Hostname: "relay.example.com", Agents: []smtpserver.Agent{srv.Agent()},
		Observe: func(_ *smtpserver.Session, a *smtpserver.Action) { observed = append(observed, *a) }})
	watched.Dial(t).Send("a@example.org", two, mail)
	watched.Close() // all calls of Observe have ended
	if len(observed) != 1 || observed[0].Kind != smtpserver.Quarantined || observed[0].To != "q@example.com" || !slices.Equal(observed[0].Recipients, two) {
		t.Errorf("observed %+v", observed)
	}
	answer = `{"action":"discard"}`
	s := agenttest.Start(t, srv.Agent())
	if code, _ := s.Dial(t).Send("a@example.org", to, mail); code != 250 || len(s.Accepted()) > 0 {
		t.Errorf("discard: %d", code)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []interface{ Validate() error }{
		&Clamd{}, &Clamd{Address: "localhost"}, &Spamd{}, &Spamd{Address: "/run/spamd", User: "x\r\ny"},
		&HTTP{}, &HTTP{URL: "ftp://x"}, &HTTP{URL: "http://x", Quarantine: "nobody"},
	} {
		if c.Validate() == nil {
			t.Errorf("%+v: no error", c)
		}
	}
	for _, c := range []interface{ Validate() error }{
		&Clamd{Address: "/run/clamd"}, &Spamd{Address: "127.0.0.1:783"}, &HTTP{URL: "https://user:pw@scan.example.com/check", Quarantine: "q@example.com"},
	} {
		if err := c.Validate(); err != nil {
			t.Error(err)
		}
	}
}

func FuzzReplies(f *testing.F) {
	f.Add([]byte("SPAMD/1.1 0 EX_OK\r\nContent-length: 5\r\nSpam: True ; 15.3 / 5.0\r\n\r\nGTUBE"))
	f.Add([]byte("SPAMD/1.1 0 EX_OK\r\nContent-length: 0\r\nSpam: False ; NaN / Inf\r\n\r\n"))
	f.Add([]byte(`{"action":"accept","scl":-1,"header":[{"name":"X-A","value":"b\r\nC: d"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := readVerdict(bytes.NewReader(b)); err == nil {
			if l := content.FromScore(v.score, v.required); l < 0 || l > 9 {
				t.Fatalf("level %d of %q", l, b)
			}
			for _, s := range v.symbols {
				if strings.ContainsAny(s, " \r\n:") {
					t.Fatalf("symbol %q", s)
				}
			}
		}
		if v, err := parseVerdict(b); err == nil {
			m := new(smtpserver.Message)
			h := &HTTP{}
			err := h.act(nil, m, &Verdict{Action: "accept", Header: v.Header})
			if n := len(m.Header.Fields()); err == nil && n > len(v.Header) {
				t.Fatalf("%q made %d fields", b, n)
			}
		}
	})
}

// The HELO name of a device is sent in its safe form, because not every name is
// allowed in an HTTP header field.
func TestHTTPHeloOfADevice(t *testing.T) {
	var heard string
	srv := web(t, func(w http.ResponseWriter, r *http.Request) {
		heard = r.Header.Get("X-Helo")
		io.WriteString(w, `{"action":"accept"}`)
	})
	c := agenttest.Start(t, srv.Agent()).Connect(t)
	c.Read()
	c.Want(250, "EHLO Jürgens\u0085printer")
	if code, text := c.Send("a@example.org", to, mail); code != 250 {
		t.Fatal(code, text)
	}
	if heard != "J%C3%BCrgens%C2%85printer" {
		t.Errorf("the service got %q", heard)
	}
}
