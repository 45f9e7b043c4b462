package program

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/textproto"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// certificate returns a certificate for relay.example.com and its key, in PEM.
func certificate(t *testing.T, serial int64, until time.Time) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "relay.example.com"}, DNSNames: []string{"relay.example.com"},
		NotBefore: until.Add(-24 * time.Hour), NotAfter: until,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

// serial returns the serial number of the certificate in a new session.
func (w *world) serial() int64 {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.listen)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	text := textproto.NewConn(conn)
	for _, step := range []struct {
		command string
		want    int
	}{{"", 220}, {"EHLO client.test", 250}, {"STARTTLS", 220}} {
		if step.command != "" {
			if err := text.PrintfLine("%s", step.command); err != nil {
				w.t.Fatal(err)
			}
		}
		if _, _, err := text.ReadResponse(step.want); err != nil {
			w.t.Fatal(err)
		}
	}
	secure := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	if err := secure.Handshake(); err != nil {
		w.t.Fatal(err)
	}
	return secure.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// A certificate that is renewed is used by new sessions. A certificate without its key,
// as in the middle of a renewal, changes nothing. One that has expired is used, because
// most relays do not check it, and the log and the console report it.
func TestRenewedCertificate(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t, 1, time.Now().Add(time.Hour))
	certFile, keyFile := peers.File(t, cert), peers.File(t, key)
	w := newWorld(t, "cert: "+certFile, "key: "+keyFile)
	if got := w.serial(); got != 1 {
		t.Errorf("certificate %d, want 1", got)
	}

	cert, key = certificate(t, 2, time.Now().Add(time.Hour))
	w.write(certFile, "\ufeff"+cert)
	w.p.Signal(t, syscall.SIGHUP)
	w.logged("private key does not match public key")
	if got := w.serial(); got != 1 {
		t.Errorf("certificate %d, want 1: there is no key for the other one", got)
	}
	if got, want := w.health(), "wrong: cert ("+certFile+")"; !strings.Contains(got, want) {
		t.Errorf("the settings: %q, want %q", got, want)
	}
	w.write(keyFile, "\ufeff"+key)
	w.p.Signal(t, syscall.SIGHUP)
	peers.Await(t, "the renewed certificate", func() bool { return w.serial() == 2 })

	cert, key = certificate(t, 3, time.Now().Add(-time.Hour))
	w.write(certFile, cert)
	w.write(keyFile, key)
	w.p.Signal(t, syscall.SIGHUP)
	w.logged(`level=WARN msg="cert: the certificate has expired`)
	peers.Await(t, "the certificate that has expired", func() bool { return w.serial() == 3 })
	if got, want := w.health(), "-cert: the certificate has expired"; !strings.Contains(got, want) {
		t.Errorf("the settings: %q, want %q", got, want)
	}
	w.p.Stop(t)
}

// A certificate that expires while the gateway runs is logged once.
func TestCertificateExpires(t *testing.T) {
	until := time.Now().Add(time.Hour).Truncate(time.Second)
	cert, key := certificate(t, 1, until)
	l := &loaded{Settings: Settings{Cert: peers.File(t, cert), Key: peers.File(t, key)}}
	var log strings.Builder
	r := &reloader{in: &Kit{loaded: l}, log: slog.New(slog.NewTextHandler(&log, nil))}
	if r.in.tls = r.in.certificate(); r.in.tls == nil {
		t.Fatal(l.err())
	}
	r.lookAtCertificate(until)
	if log.Len() > 0 || !r.in.expired(until).IsZero() {
		t.Errorf("it has not expired: %s", log.String())
	}
	for range 2 {
		r.lookAtCertificate(until.Add(time.Second))
	}
	if got, want := log.String(), "until="+until.UTC().Format(time.RFC3339); strings.Count(got, want) != 1 || strings.Count(got, "\n") != 1 {
		t.Errorf("log\n%s\nwant one line with %q", got, want)
	}
}

// A file that is not a certificate or a key in PEM is an error that names the file and
// says what it is.
func TestCertificateFaults(t *testing.T) {
	cert, key := certificate(t, 1, time.Now().Add(time.Hour))
	_, otherKey := certificate(t, 2, time.Now().Add(time.Hour))
	block, _ := pem.Decode([]byte(cert))
	encoded := func(typ string, headers map[string]string) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: typ, Headers: headers, Bytes: []byte("secret")}))
	}
	for _, c := range []struct{ cert, key, want string }{
		{string(block.Bytes), key, `-cert: FILE: is not in PEM: "openssl x509"`},
		{cert, string(block.Bytes), `-key: FILE: is not in PEM`},
		{key, cert, `-cert: FILE: has no certificate, but a block "PRIVATE KEY"`},
		{cert, cert, `-key: FILE: has no key, but a block "CERTIFICATE"`},
		{"hello\n", key, "-cert: FILE: has no certificate in PEM"},
		{cert, encoded("ENCRYPTED PRIVATE KEY", nil), "-key: FILE: the key is encrypted"},
		{cert, encoded("RSA PRIVATE KEY", map[string]string{"Proc-Type": "4,ENCRYPTED"}), "-key: FILE: the key is encrypted"},
		{cert, otherKey, "-cert: FILE: with -key "},
		{cert, "", "-key: FILE: has no key in PEM"},
		{cert, key, ""},
		{cert + key, cert + key, ""}, // one file with both
		{strings.ReplaceAll(cert, "\n", "\r\n"), "\ufeff" + key, ""},
	} {
		l := &loaded{Settings: Settings{Cert: peers.File(t, c.cert), Key: peers.File(t, c.key)}}
		got := "no certificate"
		if (&Kit{loaded: l}).certificate() != nil {
			got = ""
		} else if err := l.err(); err != nil {
			got = strings.NewReplacer(l.Cert+":", "FILE:", l.Key+":", "FILE:").Replace(err.Error())
		}
		if c.want == "" && got != "" || !strings.HasPrefix(got, c.want) || strings.Contains(got, "\n-") && c.key != cert {
			t.Errorf("%s\nwant\n%s", got, c.want)
		}
	}
}

// Settings that contradict each other are faults: addresses with two uses, folders with
// two uses, a size without its unit, and arguments that are not flags.
func TestContradictions(t *testing.T) {
	folder := t.TempDir()
	for want, args := range map[string][]string{
		"-metrics: 127.0.0.1:2525 is also the address of -listen":  {"-metrics", "127.0.0.1:2525"},
		"-metrics: :2525 is also the address of -listen":           {"-metrics", ":2525"},
		"-console: 127.0.0.1:2525 is also the address of -listen":  {"-console", "127.0.0.1:2525"},
		"-console: 127.0.0.1:9025 is also the address of -metrics": {"-console", "127.0.0.1:9025", "-metrics", "[::]:9025"},
		`-metrics: "9025" is not an address with a port`:           {"-metrics", "9025"},
		"-pickup: " + peers.File(t, "") + " is not a folder":       {"-pickup", ""},
		"-bad-mail: " + folder + " is also the folder of -replay":  {"-bad-mail", folder, "-replay", folder},
		"-replay: " + folder + " is also the folder of -pickup":    {"-pickup", folder, "-replay", folder},
		"-max-size: is less than 64K":                              {"-max-size", "36"},
		`"now" is not a flag`:                                      {"now"},
		"":                                                         {"-metrics", "127.0.0.1:0", "-console", "127.0.0.1:0", "-pickup", folder, "-max-size", "64K"},
		" ":                                                        {"-metrics", "127.0.0.2:2525", "-console", "127.0.0.1:2526", "-bad-mail", filepath.Join(folder, "new")},
	} {
		if file, ok := strings.CutSuffix(want, " is not a folder"); ok {
			args[1] = strings.TrimPrefix(file, "-pickup: ")
		}
		all := append([]string{"-check", "-listen", "127.0.0.1:2525", "-server", "192.0.2.1", "-hostname", "relay.example.com", "-spool", t.TempDir(),
			"-domains", peers.File(t, "example.com\n")}, args...)
		var out, errs strings.Builder
		p := Program{Name: "office", New: func() Gateway { return new(office) }}
		status := p.Run(all, &out, &errs)
		if want = strings.TrimSpace(want); want == "" && status != 0 || want != "" && status != 2 || !strings.HasPrefix(errs.String(), want) {
			t.Errorf("%s: status %d\n%swant %s", fmt.Sprint(args), status, errs.String(), want)
		}
	}
}
