package sendsec

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/smtpclient/tlsrpt"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// An outland is the internet of a test: a Postfix with a certificate is the host of all
// domains, BIND behind a validating unbound has their records, and a web server has
// their MTA-STS policies and takes TLS reports.
type outland struct {
	postfix *peers.Postfix
	dns     string
	key     string // file of the DKIM key of org.example
	zone    string // the record of the key
	fetched atomic.Int32
	posted  chan []byte
	always  []string // settings of the gate
}

func newOutland(t *testing.T) *outland {
	peers.NeedRoot(t) // for port 443
	o := &outland{posted: make(chan []byte, 10)}
	cert, web := smtptest.Certificate(t, "mx.unsigned.example"), smtptest.Certificate(t, "mta-sts.enforced.unsigned.example")
	web2 := smtptest.Certificate(t, "mta-sts.elsewhere.unsigned.example")
	address := fmt.Sprintf("127.%d.%d.%d", 1+rand.N(250), rand.N(250), 1+rand.N(250)) // no other test has it
	o.serve(t, address, web, web2)
	t.Setenv("SSL_CERT_FILE", peers.File(t, string(peers.PEM(t, &cert))+string(peers.PEM(t, &web))+string(peers.PEM(t, &web2))))

	o.postfix = &peers.Postfix{Domains: "signed.example wrong.signed.example enforced.unsigned.example elsewhere.unsigned.example reports.unsigned.example", Certificate: &cert}
	o.postfix.Start(t)
	port := portOf(t, o.postfix.Addr)
	file, key := dkimKey(t, "org.example")
	o.key, o.zone = file, record(t, key)
	o.dns = peers.SignedDNS(t, fmt.Sprintf(`
@        MX 10 mx
mx       A 127.0.0.1
_%[1]s._tcp.mx TLSA 3 1 1 %[2]x
wrong    MX 10 mx2
mx2      A 127.0.0.1
_%[1]s._tcp.mx2 TLSA 3 1 1 %064[3]d
_smtp._tls TXT "v=TLSRPTv1; rua=mailto:tls@reports.unsigned.example"
_smtp._tls.wrong TXT "v=TLSRPTv1; rua=mailto:tls@reports.unsigned.example"
`, port, sha256.Sum256(cert.Leaf.RawSubjectPublicKeyInfo), 1), fmt.Sprintf(`
mx        A 127.0.0.1
reports   MX 10 mx
enforced  MX 10 mx
_mta-sts.enforced  TXT "v=STSv1; id=1"
mta-sts.enforced   A %[1]s
_smtp._tls.enforced TXT "v=TLSRPTv1; rua=https://mta-sts.enforced.unsigned.example/reports"
elsewhere MX 10 mx
_mta-sts.elsewhere TXT "v=STSv1; id=1"
mta-sts.elsewhere  A %[1]s
`, address))
	o.always = []string{"dns: " + o.dns, "port: " + port, "send.dkim.domain: org.example", "send.dkim.selector: s1", "send.dkim.key: " + o.key}
	return o
}

// serve runs the web server.
func (o *outland) serve(t *testing.T, address string, certs ...tls.Certificate) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/mta-sts.txt", func(w http.ResponseWriter, r *http.Request) {
		o.fetched.Add(1)
		mx := map[string]string{"mta-sts.enforced.unsigned.example": "mx.unsigned.example"}[r.Host]
		if mx == "" {
			mx = "mx.elsewhere.example"
		}
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprintf(w, "version: STSv1\nmode: enforce\nmx: %s\nmax_age: 86400\n", mx)
	})
	mux.HandleFunc("POST /reports", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		o.posted <- body
		w.WriteHeader(http.StatusCreated)
	})
	l, err := net.Listen("tcp", net.JoinHostPort(address, "443"))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: mux, TLSConfig: &tls.Config{Certificates: certs}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		srv.ServeTLS(l, "", "")
	}()
	t.Cleanup(func() {
		srv.Close()
		<-ended
	})
}

// arrives waits for a message at the Postfix, and returns it.
func (o *outland) arrives(t *testing.T, subject string) string {
	t.Helper()
	m := o.postfix.Next(t)
	if !strings.Contains(m, "\nSubject: "+subject+"\n") || !strings.Contains(m, "(using TLS") {
		t.Errorf("want %q by TLS, got\n%s", subject, m)
	}
	return m
}

// mailed waits for a report by mail, and returns it with the message.
func (o *outland) mailed(t *testing.T) (*tlsrpt.Report, string) {
	t.Helper()
	text := o.postfix.Next(t)
	m, err := mail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "tlsrpt" {
		t.Fatalf("%v: not a report\n%s", err, text)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for {
		p, err := parts.NextPart()
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if p.Header.Get("Content-Type") == "application/tlsrpt+gzip" {
			packed, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, p))
			if err != nil {
				t.Fatal(err)
			}
			return readReport(t, packed), text
		}
	}
}

func readReport(t *testing.T, packed []byte) *tlsrpt.Report {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	report := new(tlsrpt.Report)
	if err := json.NewDecoder(z).Decode(report); err != nil {
		t.Fatal(err)
	}
	return report
}

// summary describes a report. The number of failures depends on the times at which a
// message is tried again.
func summary(r *tlsrpt.Report) string {
	text := fmt.Sprintf("%s from %s, %s:", r.Domain, r.Organization, r.Contact)
	for _, p := range r.Policies {
		text += fmt.Sprintf(" %s, %d successes", p.Policy.Type, p.Summary.Successful)
		for _, f := range p.Failures {
			text += ", " + f.ResultType
		}
	}
	return text
}

func TestInternet(t *testing.T) {
	o := newOutland(t)
	t.Run("policies", func(t *testing.T) { testPolicies(t, o) })
	t.Run("reports", func(t *testing.T) { testReports(t, o) })
}

// The published policies are applied as the settings say, against a real Postfix and a
// validating resolver, and a reload changes the settings. The policies that were
// fetched survive a reload and a restart.
func testPolicies(t *testing.T, o *outland) {
	g := startGate(t, o.always)
	// Without the settings, no policy is applied.
	for _, to := range []string{"a@wrong.signed.example", "b@elsewhere.unsigned.example"} {
		g.send(to, "no policy for "+to)
		o.arrives(t, "no policy for "+to)
	}
	if o.fetched.Load() > 0 {
		t.Error("a policy was fetched")
	}

	g.reload("send.internet.mta-sts: true")
	g.send("a@elsewhere.unsigned.example", "waits")
	g.logged("to=a@elsewhere.unsigned.example", "not listed in the MTA-STS policy")
	g.send("b@enforced.unsigned.example", "enforced")
	o.arrives(t, "enforced")
	g.send("c@wrong.signed.example", "DANE is off")
	o.arrives(t, "DANE is off")
	g.reload("send.internet.mta-sts: true", "delay-notice: 0s")
	g.send("b@enforced.unsigned.example", "after a reload")
	o.arrives(t, "after a reload")
	g.reload() // without MTA-STS, the message that waits arrives
	o.arrives(t, "waits")
	g.p.Stop(t)

	g.start("send.internet.mta-sts: true", "dnssec: true", "send.internet.dane: true")
	g.send("b@enforced.unsigned.example", "after a restart")
	o.arrives(t, "after a restart")
	if n := o.fetched.Load(); n != 2 {
		t.Errorf("policies were fetched %d times, want once for each domain", n)
	}
	g.send("a@signed.example", "DANE")
	o.arrives(t, "DANE")
	g.send("a@wrong.signed.example", "waits for DANE")
	g.logged("to=a@wrong.signed.example", "dane", "no TLSA record matches")
	g.reload("dnssec: true") // without DANE, it arrives
	o.arrives(t, "waits for DANE")
	g.p.Stop(t)
}

// The sessions are reported to the domains that request it, by signed mail and by
// HTTPS. The counts survive a reload and a restart, and are sent once.
func testReports(t *testing.T, o *outland) {
	settings := []string{"dnssec: true", "send.internet.dane: true", "send.internet.mta-sts: true", "send.internet.tls-reports: tls@org.example"}
	g := startGate(t, o.always, settings...)
	g.send("a@signed.example", "counted")
	o.arrives(t, "counted")
	g.send("a@enforced.unsigned.example", "counted too")
	o.arrives(t, "counted too")
	g.send("a@wrong.signed.example", "waits")
	g.logged("to=a@wrong.signed.example", "dane")
	settings = append(settings, "send.internet.tls-reports-organization: Org")
	g.reload(settings...)
	g.p.Stop(t)
	g.start(settings...)

	g.p.Signal(t, syscall.SIGALRM)
	got := make(map[string]bool)
	for range 2 {
		report, text := o.mailed(t)
		got[summary(report)] = true
		if dkimpy(t, "dkim", o.zone, text) != "True" || !strings.Contains(text, "\nReturn-Path: <tls@org.example>\n") && !strings.HasPrefix(text, "Return-Path: <tls@org.example>\n") {
			t.Errorf("the report has no valid signature or another sender\n%s", text)
		}
	}
	got[summary(readReport(t, <-o.posted))] = true
	for _, want := range []string{
		"signed.example from Org, tls@org.example: tlsa, 1 successes",
		"wrong.signed.example from Org, tls@org.example: tlsa, 0 successes, validation-failure",
		"enforced.unsigned.example from Org, tls@org.example: sts, 1 successes",
	} {
		if !got[want] {
			t.Errorf("no report %q in %v", want, got)
		}
	}
	g.logged(`msg="TLS report sent" domain=enforced.unsigned.example`)
	g.p.Stop(t)
	// The message that waits may have been tried again, and counted.
	text, err := os.ReadFile(filepath.Join(g.spool, "send.internet.tls-reports.json"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) || strings.Contains(string(text), "enforced.unsigned.example") {
		t.Errorf("%v: reports are sent again\n%s", err, text)
	}
}
