package smtpserver_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// said is a protocol log in memory with one line "event data context" for each
// event.
type said struct {
	mu     sync.Mutex
	events []smtpserver.ProtocolEvent
}

func (l *said) Log(e smtpserver.ProtocolEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
}

func (l *said) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, e := range l.events {
		b.WriteString(strings.TrimRight(string(e.Kind)+" "+e.Data+" | "+e.Context, " |") + "\n")
	}
	return b.String()
}

func TestProtocolLog(t *testing.T) {
	log := new(said)
	s := withTLS(t, smtpserver.TLSOffered)
	s.Name, s.ProtocolLog, s.Disable = "edge", log, smtpserver.ExtDSN|smtpserver.ExtLimits|smtpserver.ExtHelp|smtpserver.ExtSMTPUTF8
	s.Agents = []smtpserver.Agent{{Mail: func(_ context.Context, s *smtpserver.Session, _ string, _ *smtp.MailOptions) error {
		s.LogProtocol("SMTPSubmit", "Set Session Permissions")
		return nil
	}}}
	srv := smtptest.NewServer(t, s)
	smtptest.Talk(t, srv.Addr, `
		S: 220
		C: EHLO client.example
		S: 250
		C: STARTTLS
		S: 220
		TLS
		C: EHLO client.example
		S: 250
		C: mail from:<a@example.com>
		S: 250
		C: RCPT TO:<b@example.com>
		S: 250
		C: DATA
		S: 354
		C: Subject: the content is not to be logged!
		C: .
		S: 250
		C: QUIT
		S: 221
		EOF
	`)
	srv.Close()
	m := srv.Inbox.Next(t)
	got := log.String()
	for _, want := range []string{
		"+\n> 220 test.example ESMTP\n< EHLO client.example\n> 250-test.example greets client.example\n",
		"< STARTTLS\n> 220 2.0.0 Ready to start TLS\n*  | TLS 1.3 TLS_",
		"*  | Sent certificate\n* CN=test.example | Certificate subject\n* CN=test.example | Certificate issuer name\n* 1 | Certificate serial number\n",
		"* test.example;localhost | Certificate alternate names\n< EHLO",
		"< MAIL from:<a@example.com>\n* SMTPSubmit | Set Session Permissions\n> 250 2.1.0 Ok\n",
		"< DATA\n> 354 Go ahead, end with <CRLF>.<CRLF>\n*  | 43 bytes of message " + m.ID + "\n> 250 2.0.0 Ok: queued as " + m.ID + "\n",
		"< QUIT\n> 221 2.0.0 Bye\n-  | Remote\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("not in the log: %q\n", want)
		}
	}
	if strings.Contains(got, "not to be logged") {
		t.Error("the content is in the log")
	}
	if t.Failed() {
		t.Log(got)
	}
	for i, e := range log.events {
		if e.Sequence != i || e.Connector != "edge" || e.Local != srv.Addr || e.Session != log.events[0].Session {
			t.Errorf("event %d: %+v", i, e)
		}
	}
}

// No log contains a password, even if the client makes errors.
func TestSecretsAreNotLogged(t *testing.T) {
	const password = "c2VjcmV0d29yZA" // and as it is on the wire:
	wire := b64("\x00alice\x00" + password)
	var lines bytes.Buffer
	log := new(said)
	s := generous()
	s.Auth, s.AllowInsecureAuth, s.ProtocolLog = wonderland(), true, log
	s.Limits.AuthFailures = -1
	s.Logger = slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: slog.LevelDebug}))
	srv := smtptest.NewServer(t, s)
	for _, script := range []string{
		"C: AUTH PLAIN " + wire + "\nS: 535\n",
		"C: auth plain " + wire + "\nS: 535\n",
		"C: AUTH PLAIN\nS: 334\nC: " + wire + "\nS: 535\n",
		"C: AUTH LOGIN\nS: 334\nC: " + b64("alice") + "\nS: 334\nC: " + b64(password) + "\nS: 535\n",
		// The mechanism is refused, and the client goes on all the same.
		"C: AUTH NTLM\nS: 504\nC: " + wire + "\nS: 500\nC: " + b64(password) + "\nS: 500\n",
		// The name of the mechanism is missing.
		"C: AUTH " + wire + "\nS: 504\nC: auth " + b64(password) + "\nS: 504\n",
		"C: AUTH LOGIN " + b64("alice") + " " + b64(password) + "\nS: 501\n",
	} {
		smtptest.Talk(t, srv.Addr, "S: 220\nC: EHLO client.example\nS: 250\n"+script)
	}
	srv.Close()
	all := log.String() + lines.String()
	for _, secret := range []string{password, wire, b64(password)} {
		if strings.Contains(all, secret) {
			t.Errorf("%q is in the log:\n%s", secret, all)
		}
	}
	if !strings.Contains(all, "< AUTH plain <redacted>\n") {
		t.Errorf("log:\n%s", all)
	}
}

func TestProtocolLogFiles(t *testing.T) {
	dir := t.TempDir()
	w := smtpserver.NewProtocolLog(&smtpserver.ProtocolLogFiles{Dir: dir})
	srv := smtptest.NewServer(t, &smtpserver.Server{ProtocolLog: w})
	smtptest.Talk(t, srv.Addr, "S: 220\nC: EHLO client.example\nS: 250\nR: \"\\x1b[2J,\\\"x\\r\\n\"\nS: 500\nC: QUIT\nS: 221\nEOF")
	srv.Close()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "RECV*-1.log"))
	if err != nil || len(names) != 1 {
		t.Fatalf("files %q, %v", names, err)
	}
	b, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	r := csv.NewReader(bytes.NewReader(b))
	r.Comment = '#'
	rows, err := r.ReadAll()
	if err != nil || len(rows) < 8 {
		t.Fatalf("%d rows, %v, of\n%s", len(rows), err, b)
	}
	if rows[0][6] != "+" || rows[len(rows)-1][6] != "-" {
		t.Errorf("rows %q", rows)
	}
}

func TestCounters(t *testing.T) {
	s := withTLS(t, smtpserver.TLSOffered)
	s.Agents = []smtpserver.Agent{{Name: "picky", Rcpt: func(_ context.Context, _ *smtpserver.Session, to string, _ *smtp.RcptOptions) error {
		if to == "nobody@example.com" {
			return noSuchUser
		}
		return nil
	}}}
	srv := smtptest.NewServer(t, s)
	c, err := net.Dial("tcp", srv.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c = smtptest.TalkOn(t, c, `
		S: 220
		C: EHLO client.example
		S: 250
		C: STARTTLS
		S: 220
		TLS
		C: EHLO client.example
		S: 250
		C: FOO
		S: 500
		C: MAIL FROM:<>
		S: 250
		C: RCPT TO:<nobody@example.com>
		S: 550
		C: RCPT TO:<b@example.com>
		S: 250
		C: DATA
		S: 354
		C: 12345678
		C: .
		S: 250
	`)
	n := srv.Counters()
	if n.Sessions != 1 || n.Current != 1 || n.Messages != 1 || n.Bytes != 10 || n.TLSVersions["TLS 1.3"] != 1 ||
		n.Replies[250] != 5 || n.Replies[550] != 1 || n.Refusals["picky"] != 1 || n.Refusals["protocol"] != 1 {
		t.Errorf("counters %+v", n)
	}
	c.Close()
	srv.Close()
	if n := srv.Counters().Current; n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

// countingListener counts the writes of its connections.
type countingListener struct {
	net.Listener
	writes chan int
}

type countingConn struct {
	net.Conn
	writes chan int
}

func (l countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return countingConn{c, l.writes}, nil
}

func (c countingConn) Write(b []byte) (int, error) {
	c.writes <- len(b)
	return c.Conn.Write(b)
}

// The server sends the replies to pipelined commands in one write (RFC 2920,
// 3.2).
func TestRepliesInOneWrite(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	writes := make(chan int, 100)
	srv := &smtpserver.Server{Handler: smtptest.NewInbox(), Hostname: "test.example"}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(countingListener{l, writes}) }()
	// Under 256 bytes, so that a connection without RawConn has it in one
	// read too.
	smtptest.Talk(t, l.Addr().String(), `
		S: 220
		C: EHLO client.example
		S: 250
		C: MAIL FROM:<a@example.com>
		C: RCPT TO:<b@example.com>
		C: RCPT TO:<c@example.com>
		C: NOOP
		C: DATA
		S: 250
		S: 250
		S: 250
		S: 250
		S: 354
		C: .
		C: MAIL FROM:<a@example.com>
		C: RSET
		C: QUIT
		S: 250
		S: 250
		S: 250
		S: 221
		EOF
	`)
	srv.Close()
	<-served
	// Banner, EHLO, the first batch, the second.
	if n := len(writes); n != 4 {
		t.Errorf("%d writes, want 4", n)
	}
}
