package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

func TestMain(m *testing.M) {
	if os.Getenv("EDGE_MAIN") != "" { // this test program as the command
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// The internet is 127.0.0.1 here, the organization 127.0.0.2: Linux has all of
// 127.0.0.0/8.
const organizationAddr = "127.0.0.2"

// A world is an edge with its surroundings and its configuration.
type world struct {
	t                      *testing.T
	dir                    string
	internet, organization string // addresses of the receive connectors
	settings               map[string]string
	p                      *peers.Process
}

var addresses atomic.Int32

// ownAddr returns an address with a port for a listener. No other test connects from
// this address, so that the port stays free.
func ownAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.77.%d:0", addresses.Add(1)%250+1))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

const configuration = `hostname: edge.example.com
spool: DIR/spool
logs: DIR/logs
dns: [DNS]
TLS
domains:
  - name: example.com
    recipients: [alice, bob]
  DOMAINS
receive:
  internet: {listen: "INTERNET"}
  organization:
    listen: "ORGANIZATION"
    SECURITY
send:
  internet: {port: PORT}
  organization:
    smart-hosts: HOSTS
    AUTH
filters:
  connection: {block-lists: [bl.test], except-recipients: [bob]}
  sender: {domains: [DENY]}
`

func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: t.TempDir(), internet: ownAddr(t), organization: ownAddr(t)}
	dns := dnstest.New(t, `
		example.net.       MX 10 mx.example.net.
		example.net.       TXT "v=spf1 ip4:127.0.0.1 -all"
		mx.example.net.    A 127.0.0.1
		mail.example.com.  A 127.0.0.1
		bridgehead.example.com. A 127.0.0.2
		strict.test.       MX 10 mx.example.net.
		strict.test.       TXT "v=spf1 -all"
		_dmarc.strict.test. TXT "v=DMARC1; p=reject"
		4.0.0.127.bl.test. A 127.0.0.2
		6.0.0.127.bl.test. A 127.0.0.2
		1.0.0.127.in-addr.arpa. PTR client.test.
		client.test.       A 127.0.0.1
	`)
	w.settings = map[string]string{"DIR": w.dir, "DNS": dns.Addr, "TLS": "", "DOMAINS": "", "INTERNET": w.internet,
		"ORGANIZATION": w.organization, "SECURITY": "externally-secured: [" + organizationAddr + "]", "PORT": "25",
		"HOSTS": "[]", "AUTH": "", "DENY": "spam.test"}
	return w
}

// write writes the configuration file with changed settings.
func (w *world) write(changes ...string) {
	w.t.Helper()
	var pairs []string
	for i := 0; i < len(changes); i += 2 {
		w.settings[changes[i]] = changes[i+1]
	}
	for name, value := range w.settings {
		pairs = append(pairs, name, value)
	}
	w.file("edge.yaml", strings.NewReplacer(pairs...).Replace(configuration))
}

// file writes a file and returns its path.
func (w *world) file(name, text string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// start starts the edge with more flags.
func (w *world) start(flags ...string) {
	w.t.Helper()
	w.p = peers.StartSelf(w.t, "EDGE_MAIN", 2, append(flags, "-config", filepath.Join(w.dir, "edge.yaml"))...)
}

var pid = regexp.MustCompile(`msg=starting pid=(\d+)`)

func (w *world) signal(s syscall.Signal) {
	w.t.Helper()
	n, err := strconv.Atoi(pid.FindStringSubmatch(w.p.Log())[1])
	if err == nil {
		err = syscall.Kill(n, s)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// await waits until the edge has logged the text n times.
func (w *world) await(text string, n int) {
	w.t.Helper()
	peers.Await(w.t, text, func() bool { return strings.Count(w.p.Log(), text) >= n })
}

// dial connects from one of our addresses.
func (w *world) dial(from, to string) net.Conn {
	w.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", to)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	return c
}

// talk runs a session from one of our addresses.
func (w *world) talk(from, to, script string) {
	w.t.Helper()
	c := w.dial(from, to)
	smtptest.TalkOn(w.t, c, script)
	c.Close()
}

// pemFiles writes a certificate and its key.
func (w *world) pemFiles(name string, cert tls.Certificate) (certFile, keyFile string) {
	w.t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		w.t.Fatal(err)
	}
	certFile = w.file(name+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})))
	return certFile, w.file(name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
}

func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr)
	return p
}

// message returns a transaction for Talk, after greeting.
func message(from, to, header string) string {
	return "C: MAIL FROM:<" + from + ">\nS: 250\nC: RCPT TO:<" + to + ">\nS: 250\nC: DATA\nS: 354\n" +
		"C: From: <" + from + ">\nC: To: <" + to + ">\nC: Date: Sat, 21 Nov 2026 22:00:00 +0000\nC: Message-ID: <1@" + from + ">\n" +
		header + "C: Subject: hello\nC:\nC: Hello\nC: .\nS: 250\n"
}

const greeting = "S: 220 edge.example.com\nC: EHLO client.test\nS: 250\n"
