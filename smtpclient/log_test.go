package smtpclient

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The protocol log has every line except those with credentials.
func TestProtocolLog(t *testing.T) {
	n := newNetwork(t)
	n.host("192.0.2.1:25", login("PLAIN")+"C: <any>\nS: 235-2.7.0 wel\nS: 235 2.7.0 come\n"+one+quit)
	tr := n.transport()
	tr.Name, tr.Auth, tr.AllowInsecureAuth = "internet", PasswordAuth("alice", "wonderland"), true
	var events eventLog
	tr.ProtocolLog = &events
	expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net")), queued)
	tr.Close()
	want := `
+
< 220 mx
> EHLO relay.example
< 250-mx
< 250-PIPELINING
< 250 AUTH PLAIN
> AUTH PLAIN <redacted>
< 235-2.7.0 wel
< 235 2.7.0 come
> MAIL FROM:<a@example.com>
> RCPT TO:<b@example.net>
> DATA
< 250 2.1.0 ok
< 250 2.1.5 ok
< 354 go ahead
* sent content of 3 octets
< 250 2.0.0 queued
> QUIT
- Local`
	var b strings.Builder
	for i, e := range events {
		b.WriteString("\n" + strings.TrimRight(string(e.Kind)+" "+e.Data+e.Context, " "))
		if e.Sequence != i || e.Connector != "internet" || e.Session == "" || e.Session != events[0].Session || e.Time.IsZero() {
			t.Errorf("event %+v", e)
		}
	}
	if got := b.String(); got != want {
		t.Errorf("log:%s\nwant:%s", got, want)
	}
}

// The same session in the W3C format: a line for each command and each line of a
// reply.
func TestW3CProtocolLog(t *testing.T) {
	n := newNetwork(t)
	n.host("192.0.2.1:25", login("PLAIN")+one+quit)
	tr := n.transport()
	var out bytes.Buffer
	log := NewW3CProtocolLog(&out, "RELAY1")
	tr.Name, tr.ProtocolLog = "internet", log
	expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net")), queued)
	tr.Close()
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		" pipe OutboundConnectionCommand internet RELAY1 - - MAIL - FROM:<a@example.com> - 0 27 - - SMTP - - - -\n",
		" pipe OutboundConnectionResponse internet RELAY1 - - - - 250+2.1.0+ok 250 0 - 14 - SMTP - - - -\n",
		" RELAY1 - - QUIT - - - 0 6 - - SMTP - - - -\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no line %sin\n%s", want, out.String())
		}
	}
}

type eventLog []ProtocolEvent

func (l *eventLog) Log(e ProtocolEvent) { *l = append(*l, e) }

// The protocol log describes the encryption and the host's certificate.
func TestProtocolLogTLS(t *testing.T) {
	ca := newAuthority(t, "CA")
	n := newNetwork(t)
	n.tls = server(ca.issue(nil, "mx1.example.net"))
	n.host("192.0.2.1:25", offer+upgraded)
	tr := n.transport()
	var out bytes.Buffer
	tr.ProtocolLog = SlogProtocolLog(slog.New(slog.NewTextHandler(&out, nil)), slog.LevelInfo)
	expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net")), queued)
	for _, want := range []string{
		`context="TLS 1.3 TLS_`, `context="Received certificate"`, `data="CN=mx1.example.net" context="Certificate subject"`,
		`data="CN=CA" context="Certificate issuer name"`, `context="Certificate thumbprint"`, `data=mx1.example.net context="Certificate alternate names"`,
	} {
		if !strings.Contains(strings.ReplaceAll(out.String(), "data=CN=", `data="CN=`), want) {
			t.Errorf("no %s in\n%s", want, &out)
		}
	}
}

// A failed connection is in the protocol log, too.
func TestProtocolLogWithoutConnection(t *testing.T) {
	n := newNetwork(t)
	tr := n.transport()
	var events eventLog
	tr.Name, tr.ProtocolLog = "internet", &events
	tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net"))
	if len(events) != 1 {
		t.Fatalf("%d events", len(events))
	}
	e := events[0]
	if e.Connector != "internet" || e.Session == "" || e.Remote != "192.0.2.1:25" || e.Kind != '*' || !strings.HasPrefix(e.Context, "Failed to connect: ") {
		t.Errorf("%+v", e)
	}
}

// Log files have the names and the format of Exchange.
func TestProtocolLogFiles(t *testing.T) {
	dir := t.TempDir()
	log := NewProtocolLog(&ProtocolLogFiles{Dir: dir})
	n := newNetwork(t)
	n.host("192.0.2.1:25", ehlo+one+quit)
	tr := n.transport()
	tr.ProtocolLog = log
	expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net")), queued)
	tr.Close()
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "SEND*-1.log"))
	if len(files) != 1 {
		t.Fatalf("files %q", files)
	}
	b, err := os.ReadFile(files[0])
	if err != nil || !strings.HasPrefix(string(b), "#Software: Bridgehead") || !strings.Contains(string(b), "SMTP Send Protocol Log") || !strings.Contains(string(b), ",>,DATA,") {
		t.Errorf("%v\n%s", err, b)
	}
}
