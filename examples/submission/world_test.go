package main

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/crypto/bcrypt"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dkim"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

const asMain = "SUBMISSION_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" { // this test program as the command
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

const password = "sesame-4711"

// hash returns a line of the file of -accounts, as htpasswd -B writes it.
func hash(t *testing.T, name, password string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return name + ":" + strings.Replace(string(h), "$2a$", "$2y$", 1) + "\n"
}

// A world is a running gateway, and the host of example.net, to which it delivers.
type world struct {
	t             *testing.T
	starttls, tls string // addresses of the listeners
	roots         string // file
	pool          *x509.CertPool
	world         *smtptest.Server
	spool         string
	p             *peers.Process
	accounts      string // file
}

// certificate writes the certificate of the gateway, with its key, to a file.
func certificate(t *testing.T) (file, roots string, pool *x509.CertPool) {
	t.Helper()
	c := smtptest.Certificate(t, "mail.example.com")
	pool = x509.NewCertPool()
	pool.AddCert(c.Leaf)
	return peers.File(t, string(peers.PEM(t, &c))), peers.File(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}))), pool
}

// dkimKey writes a key for DKIM to a file.
func dkimKey(t *testing.T) (file string, key *dkim.Key) {
	t.Helper()
	private := ed25519.NewKeyFromSeed([]byte("a seed of the tests, 32 bytes..."))
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return peers.File(t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))),
		&dkim.Key{Domain: "example.com", Selector: "s1", Private: private}
}

// start starts the gateway with settings. Without a source of accounts it has the
// accounts alice and bob.
func start(t *testing.T, more ...string) *world {
	t.Helper()
	w := &world{t: t, world: smtptest.NewServer(t, nil), spool: filepath.Join(t.TempDir(), "spool")}
	dns := dnstest.New(t, "example.net. MX 10 mx.example.net.\nmx.example.net. A 127.0.0.1")
	_, port, _ := strings.Cut(w.world.Addr, ":")
	cert, roots, pool := certificate(t)
	w.roots, w.pool = roots, pool
	args := append([]string{"-listen", "127.0.0.1:0", "-listen-tls", "127.0.0.2:0", "-domain", "example.com", "-cert", cert, "-key", cert,
		"-hostname", "mail.example.com", "-spool", w.spool, "-dns", dns.Addr, "-port", port, "-login-delay", "1ms"}, more...)
	if !strings.Contains(strings.Join(more, " "), "-dovecot ") && !strings.Contains(strings.Join(more, " "), "-ldap ") {
		w.accounts = peers.File(t, "# the accounts\n"+hash(t, "alice", password)+hash(t, "Bob", password))
		args = append([]string{"-accounts", w.accounts}, args...) // more may have another file
	}
	w.p = peers.StartSelf(t, asMain, 2, args...)
	for _, a := range w.p.Addrs {
		if strings.HasPrefix(a, "127.0.0.1:") {
			w.starttls = a
		} else {
			w.tls = a
		}
	}
	return w
}

// plain is the initial response of AUTH PLAIN.
func plain(name, password string) string {
	return base64.StdEncoding.EncodeToString([]byte("\x00" + name + "\x00" + password))
}

const secure = `
	S: 220 mail.example.com
	C: EHLO laptop.example
	S: 250 STARTTLS
	C: STARTTLS
	S: 220
	TLS
	C: EHLO laptop.example
	S: 250 AUTH
`

// talk runs a script in a session over TLS, after a login if name is not empty.
func (w *world) talk(name, script string) {
	w.t.Helper()
	begin := secure
	if name != "" {
		begin += "C: AUTH PLAIN " + plain(name, password) + "\nS: 235\n"
	}
	smtptest.Talk(w.t, w.starttls, begin+script+"\nC: QUIT\nS: 221\n")
}

// swaks sends a message by port 587, and returns what was said.
func (w *world) swaks(name, password string, more ...string) (string, error) {
	w.t.Helper()
	return peers.Swaks(w.t, append([]string{"--server", w.starttls, "--auth-user", name, "--auth-password", password,
		"--from", name + "@example.com", "--to", "carol@example.net"}, more...)...)
}

// curl sends a message with curl, which verifies the certificate.
func (w *world) curl(scheme, addr string, more ...string) (string, error) {
	w.t.Helper()
	host, port, _ := strings.Cut(addr, ":")
	letter := peers.File(w.t, "From: alice@example.com\r\nTo: carol@example.net\r\nSubject: by curl\r\n\r\nhello\r\n")
	out, err := exec.Command(peers.Need(w.t, "curl"), append([]string{"-sS", "--cacert", w.roots, "--user", "alice:" + password, "--mail-from", "alice@example.com",
		"--mail-rcpt", "carol@example.net", "--upload-file", letter, "--resolve", "mail.example.com:" + port + ":" + host,
		"--url", scheme + "://mail.example.com:" + port + "/laptop.example"}, more...)...).CombinedOutput()
	return string(out), err
}

// dialTLS connects to port 465.
func (w *world) dialTLS() net.Conn {
	w.t.Helper()
	c, err := tls.Dial("tcp", w.tls, &tls.Config{RootCAs: w.pool, ServerName: "mail.example.com"})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	return c
}

// arrives returns the next message that the world receives.
func (w *world) arrives(want ...string) string {
	w.t.Helper()
	text := w.world.Inbox.Next(w.t).Text
	for _, one := range want {
		if !strings.Contains(text, one) {
			w.t.Errorf("no %q in\n%s", one, text)
		}
	}
	return text
}

// logged waits for a line of the log.
func (w *world) logged(want string) {
	w.t.Helper()
	peers.Await(w.t, want, func() bool { return strings.Contains(w.p.Log(), want) })
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
