//go:build unix

package milter

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy/internal/agenttest"
)

const gtube = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"

var plain = "From: a@example.org\r\nTo: b@example.com\r\nSubject: hello\r\nDate: Sat, 21 Nov 2026 20:41:31 +0000\r\nMessage-ID: <1@example.org>\r\n\r\nNothing to see.\r\n"

func TestRspamd(t *testing.T) {
	peers.Need(t, "rspamd")
	dir := t.TempDir()
	sock := filepath.Join(dir, "milter")
	tld := agenttest.File(t, dir, "tld", "com\n")
	conf := agenttest.File(t, dir, "rspamd.conf", `
options {
    pidfile = "`+dir+`/pid"; tempdir = "`+dir+`"; hs_cache_dir = "`+dir+`";
    control_socket = "`+dir+`/control mode=0600";
    filters = ""; url_tld = "`+tld+`"; enable_test_patterns = true;
    dns { nameserver = ["127.0.0.1:1"]; timeout = 0.2s; retransmits = 1; }
}
logging { type = "console"; level = "info"; }
actions { reject = 15; "add header" = 6; }
worker "rspamd_proxy" {
    bind_socket = "`+sock+` mode=0666";
    milter = yes; timeout = 60s; count = 1;
    upstream "local" { default = yes; self_scan = yes; }
}
`)
	peers.Program(t, sock, "rspamd", "-f", "-i", "-c", conf)
	c := &Client{Address: sock, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}

	if got := agenttest.Relay(t, "a@example.org", []string{"b@example.com"}, plain, c.Agent()); got.Data != plain {
		t.Errorf("clean mail was changed:\n%s", got.Data)
	}
	text := agenttest.Refused(t, 554, "a@example.org", []string{"b@example.com"}, plain+gtube+"\r\n", c.Agent())
	if !strings.Contains(text, "Gtube") {
		t.Errorf("refused with %q", text)
	}
	// Another test pattern of rspamd requests a header field.
	mark := plain + "YJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n"
	got := agenttest.Relay(t, "a@example.org", []string{"b@example.com"}, mark, c.Agent())
	without := strings.Replace(got.Data, "X-Spam: Yes\r\n", "", 1)
	if got.Data == mark || without != mark {
		t.Errorf("marked mail is\n%s", got.Data)
	}
}

// opendkim signs a message, and opendkim and go-msgauth verify the signature:
// the sent message is byte for byte the message that the milter got.
func TestOpenDKIM(t *testing.T) {
	peers.Need(t, "opendkim")
	dir := t.TempDir()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	record := "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(public)
	keyFile := agenttest.File(t, dir, "key", string(private))
	records := agenttest.File(t, dir, "dns", "sel._domainkey.example.org "+record+"\n")
	sign, verify := filepath.Join(dir, "sign"), filepath.Join(dir, "verify")
	signConf := agenttest.File(t, dir, "sign.conf", "Socket local:"+sign+
		"\nMode s\nDomain example.org\nSelector sel\nKeyFile "+keyFile+"\nCanonicalization simple/simple\nRequireSafeKeys no\nMinimumKeyBits 1024\n")
	verifyConf := agenttest.File(t, dir, "verify.conf", "Socket local:"+verify+
		"\nMode v\nTestDNSData file:"+records+"\nAuthservID relay.example.com\nAlwaysAddARHeader yes\n")
	peers.Program(t, sign, "opendkim", "-f", "-x", signConf)
	peers.Program(t, verify, "opendkim", "-f", "-x", verifyConf)

	folded := strings.Replace(plain, "Subject: hello", "Subject:  two spaces\r\n\tand a fold", 1)
	signer, verifier := &Client{Address: sign}, &Client{Address: verify}
	got := agenttest.Relay(t, "a@example.org", []string{"b@example.com"}, folded, signer.Agent(), verifier.Agent())
	if !strings.HasSuffix(got.Data, folded) {
		t.Errorf("the message that was signed has changed:\n%s", got.Data)
	}
	if !strings.Contains(got.Data, "dkim=pass") {
		t.Errorf("opendkim does not find its own signature good:\n%s", got.Data)
	}
	vs, err := dkim.VerifyWithOptions(strings.NewReader(got.Data), &dkim.VerifyOptions{
		LookupTXT: func(string) ([]string, error) { return []string{record}, nil },
	})
	if err != nil || len(vs) != 1 || vs[0].Err != nil {
		t.Errorf("go-msgauth: %v %+v", err, vs)
	}
}

// BenchmarkLibmilter sends a message that opendkim signs, over TCP and over a
// Unix socket.
func BenchmarkLibmilter(b *testing.B) {
	dir := b.TempDir()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		b.Fatal(err)
	}
	keyFile := agenttest.File(b, dir, "key", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})))
	tcp := peers.FreeAddr(b)
	_, port, _ := strings.Cut(tcp, ":")
	unix := filepath.Join(dir, "milter")
	for addr, socket := range map[string]string{tcp: "inet:" + port + "@127.0.0.1", unix: "local:" + unix} {
		conf := agenttest.File(b, dir, "conf", "Socket "+socket+"\nMode s\nDomain example.org\nSelector sel\nKeyFile "+keyFile+"\nRequireSafeKeys no\nMinimumKeyBits 1024\n")
		peers.Program(b, addr, "opendkim", "-f", "-x", conf)
		c := agenttest.Start(b, (&Client{Address: addr}).Agent()).Dial(b)
		b.Run(socket[:5], func(b *testing.B) {
			for b.Loop() {
				if code, text := c.Send("a@example.org", []string{"b@example.com"}, plain); code != 250 {
					b.Fatal(code, text)
				}
			}
		})
		c.Want(221, "QUIT")
	}
}

// libmilter closes the connection after a packet of more than 64 KiB. A sender
// must not be able to cause this; see PassWhenDown.
func TestLongFieldThroughLibmilter(t *testing.T) {
	peers.Need(t, "opendkim")
	dir := t.TempDir()
	sock := filepath.Join(dir, "milter")
	conf := agenttest.File(t, dir, "opendkim.conf", "Socket local:"+sock+"\nMode v\nAuthservID relay.example.com\nAlwaysAddARHeader yes\nMaximumHeaders 0\n")
	peers.Program(t, sock, "opendkim", "-f", "-x", conf)
	data := "To: b@example.com" + strings.Repeat(",\r\n "+strings.Repeat("c", 60)+"@example.com", 1000) + "\r\n" + plain
	got := agenttest.Relay(t, "a@example.org", []string{"b@example.com"}, data, (&Client{Address: sock}).Agent())
	if !strings.HasSuffix(got.Data, data) || !strings.HasPrefix(got.Data, "Authentication-Results: relay.example.com") {
		t.Errorf("the message left as %.300s", got.Data)
	}
}

// awaitClamAV waits until clamav-milter has connected to clamd. Before this, it
// defers all mail.
func awaitClamAV(t *testing.T, c *Client) {
	t.Helper()
	s := agenttest.Start(t, c.Agent())
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range 200 {
		session := s.Dial(t)
		code, text := session.Send("a@example.org", []string{"b@example.com"}, plain)
		session.Do("QUIT")
		if code == 250 {
			return
		}
		t.Logf("clamav-milter is not ready: %d %s", code, text)
		<-tick.C
	}
	t.Fatal("clamav-milter does not find its clamd")
}

func TestClamAVMilter(t *testing.T) {
	peers.Need(t, "clamav-milter")
	clamd, _ := peers.Clamd(t)
	dir := t.TempDir()
	sock := filepath.Join(dir, "milter")
	conf := agenttest.File(t, dir, "milter.conf", "MilterSocket "+sock+"\nClamdSocket unix:"+clamd+
		"\nForeground true\nOnInfected Reject\nOnFail Defer\nAddHeader Replace\nRejectMsg Infected with %v\n")
	peers.Program(t, sock, "clamav-milter", "-c", conf)
	c := &Client{Address: sock, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
	awaitClamAV(t, c)

	forged := strings.Replace(plain, "Subject:", "X-Virus-Status: Clean\r\nSubject:", 1)
	got := agenttest.Relay(t, "a@example.org", []string{"b@example.com"}, forged, c.Agent())
	if strings.Count(got.Data, "X-Virus-Status: Clean\r\n") != 1 || !strings.Contains(got.Data, "X-Virus-Scanned: ") {
		t.Errorf("clean mail is\n%s", got.Data)
	}
	text := agenttest.Refused(t, 550, "a@example.org", []string{"b@example.com"}, plain+peers.Virus+"\r\n", c.Agent())
	if !strings.Contains(text, "Infected with Bridgehead.Test") {
		t.Errorf("refused with %q", text)
	}
}
