package routing

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// selfSigned returns a self-signed certificate and the data of its TLSA record
// "3 1 1" (DANE-EE, public key, SHA-256).
func selfSigned(t *testing.T, name string) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, fmt.Sprintf("3 1 1 %x", sum)
}

// tlsHost starts a mail host on 127.0.0.1 and returns its port. Without a
// certificate it does not offer STARTTLS.
func tlsHost(t *testing.T, certs ...tls.Certificate) (*mailHost, int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &mailHost{}
	srv := smtp.NewServer(h)
	srv.Domain = "host.test"
	srv.ErrorLog = log.New(io.Discard, "", 0) // clients that leave without QUIT are no news
	if len(certs) > 0 {
		srv.TLSConfig = &tls.Config{Certificates: certs}
	}
	var served sync.WaitGroup
	served.Go(func() { srv.Serve(l) })
	t.Cleanup(func() { srv.Close(); served.Wait() })
	return h, l.Addr().(*net.TCPAddr).Port
}

// MX, address and TLSA records come from a validating resolver. The host's
// certificate is verified against them.
func TestDANEDelivery(t *testing.T) {
	cert, tlsa := selfSigned(t, "mx.signed.example")
	_, wrong := selfSigned(t, "mx.signed.example")
	h, port := tlsHost(t, cert)
	s := dnstest.New(t, `
		good.signed.example.    MX 10 mx.signed.example.
		mx.signed.example.      A 127.0.0.1
		bad.signed.example.     MX 10 mx2.signed.example.
		mx2.signed.example.     A 127.0.0.1
		ill.signed.example.     MX 10 mx3.signed.example.
		mx3.signed.example.     A 127.0.0.1
		unsigned.example.       MX 10 mx4.unsigned.example.
		mx4.unsigned.example.   A 127.0.0.1
	`, fmt.Sprintf(`
		_%[1]d._tcp.mx.signed.example.    TLSA %[2]s
		_%[1]d._tcp.mx2.signed.example.   TLSA %[3]s
		_%[1]d._tcp.mx4.unsigned.example. TLSA %[3]s`, port, tlsa, wrong))
	s.Secure("signed.example")
	s.Fault(fmt.Sprintf("_%d._tcp.mx3.signed.example", port), "", dnstest.Fault{Rcode: 2})
	var log bytes.Buffer
	r := &Router{Hostname: "relay.test", Logger: slog.New(slog.NewTextHandler(&log, nil)), Resolver: &DNSResolver{Servers: []string{s.Addr}, TrustAD: true},
		Table: table(t, Connector{Name: "internet", Spaces: []string{"*"}, Port: port},
			Connector{Name: "careless", Spaces: []string{"*;2"}, Transport: TransportFunc(func(_ context.Context, j *Job) []queue.Result {
				if j.Recipients[0].Addr == "a@bad.signed.example" {
					t.Error("an alternative connector was used after a TLS failure")
				}
				return sameResults(len(j.Recipients), queue.Result{Outcome: queue.Unreachable})
			})})}
	defer r.Close()
	testDANE(t, r, "good.signed.example", "bad.signed.example", "ill.signed.example", "unsigned.example")
	if got := h.received(); got != "a@good.signed.example a@unsigned.example" {
		t.Errorf("received %s", got)
	}
	// The log names the hop whose certificate does not match.
	if !strings.Contains(log.String(), `level=WARN msg="next hop unreachable" connector=internet destination=bad.signed.example`) {
		t.Errorf("log: %s", log.String())
	}
}

func testDANE(t *testing.T, r *Router, good, bad, ill, unsigned string) {
	t.Helper()
	if got := send(t, r, "a@"+good)[0]; got.Outcome != queue.Success || !strings.HasPrefix(got.TLS, "TLS1.") {
		t.Errorf("with the right record: %+v", got)
	}
	got := send(t, r, "a@"+bad)[0]
	var tlsErr *smtpclient.TLSError
	if got.Outcome != queue.Unreachable || !errors.As(got.Err, &tlsErr) || tlsErr.Policy != "dane" {
		t.Errorf("with the wrong record: %+v", got)
	}
	if got := send(t, r, "a@"+ill)[0]; got.Outcome != queue.Unreachable {
		t.Errorf("with records that cannot be looked up: %+v", got)
	}
	if got := send(t, r, "a@"+unsigned)[0]; got.Outcome != queue.Success {
		t.Errorf("with a record that anybody could have made: %+v", got)
	}
}
