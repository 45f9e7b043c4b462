package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// machine is a relay for a machine, and its upstream.
type machine struct {
	*peers.Process
	up    *smtptest.Server
	spool string
}

func newMachine(t *testing.T, listeners int, args ...string) *machine {
	t.Helper()
	up, spool := smtptest.NewServer(t, nil), t.TempDir()
	return &machine{peers.StartSelf(t, asMain, listeners, append(args, "-listen", "127.0.0.1:0", "-allow", "127.0.0.0/8",
		"-upstream", up.Addr, "-hostname", "relay.example.com", "-spool", spool)...), up, spool}
}

// says runs the dialogue of a machine, and checks that its message arrives.
func (m *machine) says(t *testing.T, script string) *smtptest.Message {
	t.Helper()
	smtptest.Talk(t, m.Addrs[0], script)
	return m.up.Inbox.Next(t)
}

// aMessage is the part of a dialogue after the login.
const aMessage = `
	C: MAIL FROM:<scanner@example.com>
	S: 250
	C: RCPT TO:<admin@example.net>
	S: 250
	C: DATA
	S: 354
	C: Subject: Scan
	C:
	C: [page]
	C: .
	S: 250
`

// A machine that insists on AUTH logs in with whatever it was set to, or with nothing.
func TestMachineLogsInWithAnything(t *testing.T) {
	m := newMachine(t, 1, "-any-login")
	for name, steps := range map[string]string{
		"LOGIN": `
			C: AUTH LOGIN
			S: 334 VXNlcm5hbWU6
			C: c2Nhbm5lcg==
			S: 334 UGFzc3dvcmQ6
			C: c2VzYW1l
			S: 235`,
		"LOGIN with the name": `
			C: AUTH LOGIN c2Nhbm5lcg==
			S: 334 UGFzc3dvcmQ6
			C: c2VzYW1l
			S: 235`,
		"LOGIN without a password": `
			C: AUTH LOGIN
			S: 334
			C: c2Nhbm5lcg==
			S: 334
			C:
			S: 235`,
		"PLAIN": `
			C: AUTH PLAIN AHNjYW5uZXIAc2VzYW1l
			S: 235`,
		"PLAIN in two steps": `
			C: AUTH PLAIN
			S: 334
			C: AHNjYW5uZXIAc2VzYW1l
			S: 235`,
		"CRAM-MD5": `
			C: auth cram-md5
			S: 334
			C: c2Nhbm5lciBiOTEzYTYwMmM3ZWRhN2E0OTViNGU2ZTczMzRkMzg5MA==
			S: 235`,
	} {
		for _, hello := range []string{"EHLO my printer", "HELO printer"} {
			t.Log(name, "after", hello)
			expect := "S: 250 AUTH LOGIN PLAIN CRAM-MD5"
			if hello[0] == 'H' {
				expect = "S: 250"
			}
			got := m.says(t, "S: 220\nC: "+hello+"\n"+expect+"\n"+steps+aMessage)
			if got.From != "scanner@example.com" {
				t.Errorf("%s: from %s", name, got.From)
			}
		}
	}
	// A monitoring script that prefers CRAM-MD5, and swaks.
	if out, err := exec.Command(peers.NeedPython(t), "-c", login, m.Addrs[0]).CombinedOutput(); err != nil {
		t.Fatalf("smtplib: %v\n%s", err, out)
	}
	m.up.Inbox.Next(t)
	for _, mechanism := range []string{"LOGIN", "PLAIN", "CRAM-MD5"} {
		if out, err := peers.Swaks(t, "--server", m.Addrs[0], "--from", "ups@example.com", "--to", "admin@example.net", "--auth", mechanism, "--auth-user", "scanner", "--auth-password", "sesame"); err != nil {
			t.Fatalf("swaks: %v\n%s", err, out)
		}
		m.up.Inbox.Next(t)
	}
	m.Stop(t)
	logs, _ := filepath.Glob(filepath.Join(m.spool, "logs", "RECV*"))
	if len(logs) == 0 {
		t.Error("no protocol log")
	}
	for _, name := range logs {
		for _, secret := range []string{"c2VzYW1l", "AHNjYW5uZXIAc2VzYW1l", "c2Nhbm5lc"} {
			if text, err := os.ReadFile(name); err != nil || strings.Contains(string(text), secret) {
				t.Errorf("%v, or %s is in the protocol log", err, secret)
			}
		}
	}
}

const login = `
import smtplib, sys
host, port = sys.argv[1].split(":")
with smtplib.SMTP(host, int(port)) as s:
    s.login("scanner", "sesame")
    s.sendmail("scanner@example.com", "admin@example.net", "Subject: disk full\r\n\r\n97 %\r\n")
`

// Without -any-login there is no AUTH. With it, a client outside -allow can neither log
// in nor relay.
func TestAnyLoginIsForMachinesOnly(t *testing.T) {
	m := newMachine(t, 1)
	smtptest.Talk(t, m.Addrs[0], `
		S: 220
		C: EHLO printer
		S: 250
		C: AUTH PLAIN AHNjYW5uZXIAc2VzYW1l
		S: 502
	`)
	m.Stop(t)
	p := peers.StartSelf(t, asMain, 1, "-listen", "127.0.0.1:0", "-allow", "10.1.0.0/16", "-any-login", "-upstream", "127.0.0.1:9",
		"-hostname", "relay.example.com", "-spool", t.TempDir())
	smtptest.Talk(t, p.Addrs[0], `
		S: 220
		C: EHLO stranger
		S: 250
		C: AUTH PLAIN AHNjYW5uZXIAc2VzYW1l
		S: 504
		C: AUTH LOGIN
		S: 504
		C: MAIL FROM:<a@example.net>
		S: 250
		C: RCPT TO:<b@example.org>
		S: 550 5.7.1 Unable to relay
	`)
	p.Stop(t)
}

// A machine without an IPv4 address has a link-local one. It may log in, send, and end
// lines with LF, as the others.
func TestLinkLocalMachine(t *testing.T) {
	p := program.Program{Name: "smarthost", New: func() program.Gateway { return new(smarthost) }}
	relay, err := p.Assemble("-listen", "127.0.0.1:0", "-allow", "fe80::/10,10.1.0.0/16", "-bare-lf", "fe80::/10", "-any-login", "-upstream", "127.0.0.1:9",
		"-hostname", "relay.example.com", "-spool", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	srv := policytest.New(t, relay.Listeners[0].Server)
	for _, client := range []string{"fe80::9%eth0", "::ffff:10.1.0.7"} {
		srv.Talk(t, client, `
			S: 220
			C: EHLO printer
			S: 250
			C: AUTH PLAIN AHNjYW5uZXIAc2VzYW1l
			S: 235
			C: MAIL FROM:<scan@example.com>
			S: 250
			C: RCPT TO:<b@example.net>
			S: 250
			C: QUIT
			S: 221
		`)
	}
	srv.Talk(t, "fec0::9", "S: 220\nC: EHLO printer\nS: 250\nC: AUTH PLAIN AHNjYW5uZXIAc2VzYW1l\nS: 504\nC: QUIT\nS: 221")
}

// rsaCertificate writes a certificate with an RSA key, which RSA key exchange needs.
func rsaCertificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"relay.example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	return peers.File(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		peers.File(t, string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)})))
}

// A machine uses STARTTLS or TLS from the first byte, and an old one TLS 1.0 with RSA
// key exchange.
func TestMachineWithTLS(t *testing.T) {
	cert, key := rsaCertificate(t)
	old := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}}
	for _, oldTLS := range []bool{false, true} {
		args := []string{"-cert", cert, "-key", key, "-listen-tls", "127.0.0.1:0", "-any-login"}
		if oldTLS {
			args = append(args, "-old-tls")
		}
		m := newMachine(t, 2, args...)
		m.says(t, `
			S: 220
			C: EHLO printer
			S: 250 STARTTLS
			C: STARTTLS
			S: 220
			TLS
			C: EHLO printer
			S: 250
			C: AUTH PLAIN AHNjYW5uZXIAc2VzYW1l
			S: 235
		`+aMessage)
		smtptest.Talk(t, m.Addrs[1], "TLS\nS: 220\nC: HELO printer\nS: 250\n"+aMessage)
		m.up.Inbox.Next(t)
		c, err := tls.Dial("tcp", m.Addrs[1], old)
		if (err == nil) != oldTLS {
			t.Fatalf("-old-tls %v: TLS 1.0 with RSA key exchange: %v", oldTLS, err)
		}
		if err == nil {
			smtptest.TalkOn(t, c, "S: 220\nC: EHLO printer\nS: 250\nC: AUTH PLAIN AHNjYW5uZXIAc2VzYW1l\nS: 235\n"+aMessage)
			c.Close()
			if got := m.up.Inbox.Next(t); !strings.Contains(got.Text, "TLS_RSA_WITH_AES_128_CBC_SHA") {
				t.Errorf("the Received field does not show the old TLS:\n%s", got.Text)
			}
		}
		m.Stop(t)
	}
}

// The greeting does not wait for a DNS server that does not answer. With -early-input, a
// machine need not wait for the greeting.
func TestMachineWithoutPatience(t *testing.T) {
	dns, err := net.ListenPacket("udp", "127.0.0.1:0") // it never answers
	if err != nil {
		t.Fatal(err)
	}
	defer dns.Close()
	m := newMachine(t, 1, "-early-input", "-dns", dns.LocalAddr().String())
	m.says(t, `
		C: HELO ups
		C: MAIL FROM:<ups@example.com>
		C: RCPT TO:<admin@example.net>
		C: DATA
		S: 220
		S: 250
		S: 250
		S: 250
		S: 354
		C: Subject: on battery
		C: .
		S: 250
	`)
	dns.SetReadDeadline(time.Now().Add(time.Millisecond))
	if n, _, err := dns.ReadFrom(make([]byte, 512)); err == nil {
		t.Errorf("a DNS query of %d bytes during the session", n)
	}
	m.Stop(t)
	strict := newMachine(t, 1)
	smtptest.Talk(t, strict.Addrs[0], "C: HELO ups\nC: MAIL FROM:<ups@example.com>\nS: 554 5.5.0 You must not send input before\nEOF")
	strict.Stop(t)
}

// A machine ends all lines with LF. The upstream gets CRLF.
func TestMachineWithBareLF(t *testing.T) {
	const alarm = `
		S: 220
		R: "HELO panel\n"
		S: 250
		R: "MAIL FROM:<panel@example.com>\n"
		S: 250
		R: "RCPT TO:<admin@example.net>\n"
		S: 250
		R: "DATA\n"
		S: 354
		R: "Subject: door 3\n\nopen\n..\n.\n"
		S: 250
		R: "QUIT\n"
		S: 221
	`
	m := newMachine(t, 1, "-bare-lf", "127.0.0.0/8")
	if got := m.says(t, alarm); !strings.HasSuffix(got.Text, "Subject: door 3\r\n\r\nopen\r\n.\r\n") {
		t.Errorf("%q", got.Text)
	}
	m.says(t, "S: 220\nC: HELO panel\nS: 250\n"+aMessage) // others are not affected
	m.Stop(t)
}

// Names that are no host names, paths without brackets, addresses without a domain.
func TestMachineWithOddNames(t *testing.T) {
	m := newMachine(t, 1, "-default-domain", "example.com")
	for _, hello := range []string{"HELO my printer", `HELO B\xfcro 4`, "EHLO (none)", `EHLO B\u00fcro`, "HELO 10.1.0.7", "EHLO localhost.localdomain", "HELO KMBT_C364"} {
		got := m.says(t, "S: 220\nR: \""+hello+"\\r\\n\""+`
			S: 250
			C: MAIL FROM: <scanner>
			S: 250
			C: rcpt to:<admin>
			S: 250
			C: RCPT TO: <chief@example.net>
			S: 250
			C: DATA
			S: 354
			C: From: scanner
			C: To: Admin <admin>
			C: Subject: Scan
			C:
			C: [page]
			C: .
			S: 250
			C: QUIT
			S: 221
		`)
		if got.From != "scanner@example.com" || strings.Join(got.To(), " ") != "admin@example.com chief@example.net" ||
			!strings.Contains(got.Text, "\r\nFrom: scanner@example.com\r\nTo: Admin <admin@example.com>\r\n") {
			t.Errorf("%s: from %s to %v:\n%s", hello, got.From, got.To(), got.Text)
		}
	}
	m.Stop(t)
}

// The mailbox of the relay sends all mail, and a reply goes to the machine.
func TestMachineSendsAsMailbox(t *testing.T) {
	m := newMachine(t, 1, "-from", "relay@example.com", "-from-keep", "desk@example.com", "-default-domain", "example.com")
	send := func(from, header string) *smtptest.Message {
		return m.says(t, "S: 220\nC: HELO printer\nS: 250\nC: MAIL FROM:<"+from+">\nS: 250\nC: RCPT TO:<admin@example.net>\nS: 250\nC: DATA\nS: 354\n"+
			header+"C: Subject: Scan\nC:\nC: [page]\nC: .\nS: 250\n")
	}
	for _, c := range []struct{ from, header, wantFrom, want string }{
		{"scanner@printer.local", "C: From: Room 4 <scanner@printer.local>\n", "relay@example.com", "From: Room 4 <relay@example.com>\r\nReply-To: Room 4 <scanner@printer.local>\r\nSubject: Scan"},
		{"scanner", "C: From: scanner\n", "relay@example.com", "From: relay@example.com\r\nReply-To: scanner@example.com\r\nSubject: Scan"},
		{"scanner", "C: From: not an address @\nC: Reply-To: desk@example.com\n", "relay@example.com", "From: relay@example.com\r\nReply-To: desk@example.com\r\nSubject: Scan"},
		{"scanner", "", "relay@example.com", "Subject: Scan\r\nFrom: relay@example.com\r\n"},
		{"", "C: From: scanner@printer.local\n", "", "From: relay@example.com\r\nReply-To: scanner@printer.local\r\nSubject: Scan"},
		{"desk@example.com", "C: From: Desk <desk@example.com>\n", "desk@example.com", "\r\nFrom: Desk <desk@example.com>\r\nSubject: Scan"},
	} {
		wantFrom := c.wantFrom
		if wantFrom == "" {
			wantFrom = "relay@example.com" // the default of -report-sender
		}
		if got := send(c.from, c.header); got.From != wantFrom || !strings.Contains(got.Text, c.want) {
			t.Errorf("from %s: from %s\n%s\nwant from %s\n%s", c.from, got.From, got.Text, wantFrom, c.want)
		}
	}
	m.Stop(t)
}

// A scan of 30 MB, one message per connection, and a machine that leaves without QUIT.
func TestMachineSendsLargeScans(t *testing.T) {
	m := newMachine(t, 1)
	line := strings.Repeat("x", 76) + "\r\n"
	body := strings.Repeat(line, 30<<20/len(line))
	for range 2 {
		c, err := net.Dial("tcp", m.Addrs[0])
		if err != nil {
			t.Fatal(err)
		}
		smtptest.TalkOn(t, c, "S: 220\nC: HELO copier\nS: 250\nC: MAIL FROM:<copier@example.com> SIZE=31457280\nS: 250\nC: RCPT TO:<admin@example.net>\nS: 250\nC: DATA\nS: 354")
		if _, err := c.Write([]byte("Subject: Scan\r\n\r\n" + body + ".\r\n")); err != nil {
			t.Fatal(err)
		}
		smtptest.TalkOn(t, c, "S: 250 2.0.0 Ok: queued as")
		c.Close()
		if got := m.up.Inbox.Next(t); !strings.HasSuffix(got.Text, "\r\n\r\n"+body) {
			t.Errorf("%d bytes arrived, want the %d of the body", len(got.Text), len(body))
		}
	}
	m.Stop(t)
}
