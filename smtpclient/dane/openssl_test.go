package dane

import (
	"bufio"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// This package and OpenSSL, which Postfix and Exim use, give the same result.
func TestVerifyAsOpenSSL(t *testing.T) {
	openssl := peers.Need(t, "openssl")
	const name = "mx.example.net"
	until := time.Now().Add(time.Hour)
	good, other := newChain(t, name, until), newChain(t, "other.example", until)
	onlyCN, both := newChain(t, name, until, noNames...), newChain(t, name, until, "other.example")
	for _, c := range []struct {
		what    string
		records []Record
		host    chain
		shown   int // certificates
		ok      bool
	}{
		{"EE", []Record{record(EE, 1, 1, good.leaf)}, good, 3, true},
		{"another EE", []Record{record(EE, 1, 1, other.leaf)}, good, 3, false},
		{"EE, another name", []Record{record(EE, 1, 1, other.leaf)}, other, 3, true},
		{"TA", []Record{record(TA, 0, 1, good.root)}, good, 3, true},
		{"TA, another name", []Record{record(TA, 0, 1, other.root)}, other, 3, false},
		{"TA, name in the common name only", []Record{record(TA, 0, 1, onlyCN.root)}, onlyCN, 3, true},
		{"TA, name in the common name beside another DNS name", []Record{record(TA, 0, 1, both.root)}, both, 3, false},
		{"TA that is not shown, digest", []Record{record(TA, 0, 1, good.root)}, good, 2, false},
		{"TA that is not shown, certificate", []Record{record(TA, 0, 0, good.root)}, good, 2, true},
		{"TA that is not shown, key", []Record{record(TA, 1, 0, good.root)}, good, 2, true},
		{"TA that is not shown, another key", []Record{record(TA, 1, 0, other.root)}, good, 2, false},
		{"SHA-256 right, SHA-512 wrong", []Record{record(EE, 1, 1, good.leaf), record(EE, 1, 2, other.leaf)}, good, 3, false},
		{"SHA-256 wrong, SHA-512 right", []Record{record(EE, 1, 1, other.leaf), record(EE, 1, 2, good.leaf)}, good, 3, true},
		{"SHA-256 right, SHA-512 wrong for another selector", []Record{record(EE, 1, 1, good.leaf), record(EE, 0, 2, other.leaf)}, good, 3, true},
		{"whole key right, SHA-512 wrong", []Record{record(EE, 1, 0, good.leaf), record(EE, 1, 2, other.leaf)}, good, 3, true},
	} {
		shown := c.host.shown()[:c.shown]
		err := (&Answer{Records: c.records, Names: []string{name}}).Verify(shown, time.Now())
		if (err == nil) != c.ok {
			t.Errorf("%s: %v, want ok %v", c.what, err, c.ok)
		}
		if theirs, said := verifiedByOpenSSL(t, openssl, name, c.records, c.host, shown); theirs != c.ok {
			t.Errorf("%s: OpenSSL returns %q, want ok %v", c.what, said, c.ok)
		}
	}
}

// verifiedByOpenSSL verifies with s_client the certificate that s_server
// sends.
func verifiedByOpenSSL(t *testing.T, openssl, name string, records []Record, host chain, shown []*x509.Certificate) (ok bool, said string) {
	t.Helper()
	dir := t.TempDir()
	var all []byte
	for _, cert := range shown {
		all = append(all, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
	}
	key, err := x509.MarshalPKCS8PrivateKey(host.key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := filepath.Join(dir, "chain.pem"), filepath.Join(dir, "key.pem")
	if err := os.WriteFile(certFile, all, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := peers.FreeAddr(t)
	server := exec.Command(openssl, "s_server", "-www", "-accept", addr, "-cert", certFile, "-cert_chain", certFile, "-key", keyFile)
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer server.Wait()
	defer server.Process.Kill()
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "ACCEPT" {
	}
	args := []string{"s_client", "-connect", addr, "-dane_tlsa_domain", name, "-dane_ee_no_namechecks"} // RFC 7672, 3.1.1
	for _, r := range records {
		args = append(args, "-dane_tlsa_rrdata", r.String())
	}
	text, _ := exec.Command(openssl, args...).CombinedOutput() // its verdict is in the text
	if !strings.Contains(string(text), "BEGIN CERTIFICATE") {
		t.Fatalf("no certificate was shown:\n%s", text)
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "Verify return code:") {
			return strings.Contains(line, ": 0 "), line
		}
	}
	t.Fatalf("no verdict:\n%s", text)
	return false, ""
}
