package smtpserver_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// rsaConfig has a certificate with an RSA key, which old key exchange needs.
func rsaConfig(t testing.TB) *tls.Config {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"test.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// sClient is OpenSSL's s_client after STARTTLS, as a client of SMTP.
type sClient struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Scanner
}

// startSClient returns nil if the TLS handshake fails.
func startSClient(t *testing.T, addr, options string) *sClient {
	t.Helper()
	args := append(strings.Fields("s_client -starttls smtp -quiet -crlf -connect "+addr), strings.Fields(options)...)
	cmd := exec.CommandContext(t.Context(), peers.Need(t, "openssl"), args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	c := &sClient{t, in, bufio.NewScanner(out)}
	io.WriteString(in, "VRFY x\n") // s_client may print a line of the reply to its own EHLO before
	for c.out.Scan() {
		if strings.HasPrefix(c.out.Text(), "252") {
			return c
		}
	}
	return nil
}

// say sends a line and returns the reply to it.
func (c *sClient) say(line string) string {
	c.t.Helper()
	io.WriteString(c.in, line+"\n")
	var reply strings.Builder
	for c.out.Scan() {
		l := c.out.Text()
		reply.WriteString(l + "\n")
		if len(l) > 3 && l[3] == ' ' {
			return reply.String()
		}
	}
	c.t.Fatalf("%s: no reply, %v", line, c.out.Err())
	return ""
}

// OpenSSL acts as a client that supports only old TLS.
func TestOldTLSWithOpenSSL(t *testing.T) {
	const (
		tls10    = "-tls1 -cipher ALL:@SECLEVEL=0"
		tls10RSA = "-tls1 -cipher AES128-SHA:@SECLEVEL=0"
		tls11    = "-tls1_1 -cipher ALL:@SECLEVEL=0"
		tls12RSA = "-tls1_2 -cipher AES128-SHA:@SECLEVEL=0"
		tls12GCM = "-tls1_2 -cipher AES256-GCM-SHA384:@SECLEVEL=0"
		tls12    = "-tls1_2"
		tls13    = "-tls1_3"
	)
	suites := map[string]string{
		tls10: "TLS 1.0 TLS_ECDHE_RSA_WITH_AES_", tls10RSA: "TLS 1.0 TLS_RSA_WITH_AES_128_CBC_SHA", tls11: "TLS 1.1 TLS_ECDHE_RSA_WITH_AES_",
		tls12RSA: "TLS 1.2 TLS_RSA_WITH_AES_128_CBC_SHA", tls12GCM: "TLS 1.2 TLS_RSA_WITH_AES_256_GCM_SHA384",
		tls12: "TLS 1.2 TLS_ECDHE_RSA_WITH_", tls13: "TLS 1.3 TLS_AES_",
	}
	own := rsaConfig(t)
	for _, c := range []struct {
		name    string
		set     func(*smtpserver.Server)
		old     bool // is accepted
		oldAuth bool
	}{
		{"default", func(*smtpserver.Server) {}, false, false},
		{"InsecureOldTLS", func(s *smtpserver.Server) { s.InsecureOldTLS = true }, true, false},
		{"InsecureOldTLSAuth", func(s *smtpserver.Server) { s.InsecureOldTLS, s.InsecureOldTLSAuth = true, true }, true, true},
		{"InsecureOldTLSAuth alone", func(s *smtpserver.Server) { s.InsecureOldTLSAuth = true }, false, true},
		{"GetConfigForClient", func(s *smtpserver.Server) {
			s.TLSConfig = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return own, nil }}
			s.InsecureOldTLS = true
		}, true, false},
	} {
		for options, want := range suites {
			isOld := options != tls12 && options != tls13
			t.Run(c.name+" "+options, func(t *testing.T) {
				var logged bytes.Buffer
				log := new(said)
				s := generous()
				s.TLSConfig, s.Auth, s.ProtocolLog, s.Logger = own.Clone(), wonderland(), log, slog.New(slog.NewTextHandler(&logged, nil))
				s.Enable = smtpserver.ExtRequireTLS
				c.set(s)
				srv := smtptest.NewServer(t, s)
				client := startSClient(t, srv.Addr, options)
				if ok := client != nil; ok != (c.old || !isOld) {
					t.Fatalf("TLS: %v", ok)
				}
				if client == nil {
					return
				}
				keywords := client.say("EHLO client.example")
				reply := client.say("AUTH PLAIN " + b64("\x00alice\x00wonderland"))
				if auth := !isOld || c.oldAuth; auth != strings.Contains(keywords, "AUTH PLAIN") || auth != strings.HasPrefix(reply, "235") || !auth && !strings.HasPrefix(reply, "538 5.7.11") {
					t.Errorf("AUTH is offered or possible against the settings: %q after %q", reply, keywords)
				}
				if strings.Contains(keywords, "REQUIRETLS") == isOld {
					t.Errorf("REQUIRETLS with %s: %q", want, keywords)
				}
				client.say("QUIT")
				srv.Close()
				if !slices.ContainsFunc(log.events, func(e smtpserver.ProtocolEvent) bool { return strings.HasPrefix(e.Context, want) }) {
					t.Errorf("the protocol log is without %q", want)
				}
				version, cipher := want[:7], want[8:]
				if l := logged.String(); !strings.Contains(l, "msg=session") || !strings.Contains(l, fmt.Sprintf("tls=%q cipher=%s", version, cipher)) ||
					strings.Contains(l, "msg=TLS ") != isOld {
					t.Errorf("log:\n%s", l)
				}
			})
		}
	}
}

// Windows 2003 supports only 3DES and RC4. Current versions of OpenSSL support
// neither.
func TestOldTLSWith3DES(t *testing.T) {
	for suite, want := range map[uint16]bool{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA: true, tls.TLS_RSA_WITH_RC4_128_SHA: false} {
		s := generous()
		s.TLSConfig, s.InsecureOldTLS = rsaConfig(t), true
		srv := smtptest.NewServer(t, s)
		conn := dialRaw(t, srv.Addr)
		conn.expect("220")
		conn.send("EHLO client.example\r\n")
		conn.expect("250")
		conn.send("STARTTLS\r\n")
		conn.expect("220")
		tc := tls.Client(conn.Conn, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10, CipherSuites: []uint16{suite}})
		if err := tc.Handshake(); (err == nil) != want {
			t.Errorf("%s: %v", tls.CipherSuiteName(suite), err)
		}
	}
}

// A client that supports modern TLS uses it, even if the server also allows old
// TLS.
func TestModernTLSIsPreferred(t *testing.T) {
	s := generous()
	s.TLSConfig, s.InsecureOldTLS = rsaConfig(t), true
	s.TLSConfig.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256} // what is set stays possible
	srv := smtptest.NewServer(t, s)
	conn := dialRaw(t, srv.Addr)
	conn.expect("220")
	conn.send("STARTTLS\r\n")
	conn.expect("220")
	tc := tls.Client(conn.Conn, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS12,
		CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}})
	if err := tc.Handshake(); err != nil {
		t.Fatal(err)
	}
	if state := tc.ConnectionState(); state.Version != tls.VersionTLS12 || state.CipherSuite != tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 {
		t.Errorf("%s %s", tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite))
	}
}
