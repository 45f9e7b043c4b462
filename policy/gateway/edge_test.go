package gateway_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// The relay of Example_edge runs between a mail server of the organization and
// one of the internet.
func TestEdgeExample(t *testing.T) {
	inside, internet := smtptest.NewServer(t, nil), smtptest.NewServer(t, nil)
	dns := dnstest.New(t, `
		sender.example.          TXT  "v=spf1 ip4:127.0.0.1 -all"
		_dmarc.sender.example.   TXT  "v=DMARC1; p=reject"
		victim.example.          TXT  "v=spf1 -all"
		_dmarc.victim.example.   TXT  "v=DMARC1; p=reject"
		outside.example.         MX   10 mx.outside.example.
		mx.outside.example.      A    127.0.0.1
	`)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := http.StatusNoContent
		switch r.FormValue("to") {
		case "bob@example.com":
			status = http.StatusForbidden
		case "carol@example.org":
			status = http.StatusBadGateway
		}
		w.WriteHeader(status)
	}))
	defer service.Close()
	folder := t.TempDir()
	writeCertificate(t, folder, "mx.example.com")
	e := &edge{
		hostname: "mx.example.com", address: "127.0.0.1:0", inside: inside.Addr, policy: service.URL, folder: folder,
		networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")},
		accounts: map[string]string{"scanner": "wonderland", "shop": "looking-glass"},
		resolver: dns,
		mxPort:   int(netip.MustParseAddrPort(internet.Addr).Port()),
	}
	var lines bytes.Buffer
	relay, err := e.relay(slog.New(slog.NewTextHandler(&lines, nil)))
	if err != nil {
		t.Fatal(err)
	}
	g := relay.(*gateway.Gateway)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	select {
	case <-g.Ready():
	case err := <-ended:
		t.Fatal(err)
	}
	addr := g.Listeners[0].Addr().String()

	// From outside, to a recipient: with TLS, and authenticated.
	err = smtpclient.Send(t.Context(), addr, nil, &smtpclient.Message{
		From: "x@sender.example", Recipients: []smtpclient.Recipient{{Addr: "alice@example.com"}, {Addr: "anyone@lab.example.com"}},
		Content: smtpclient.String("From: x@sender.example\r\nSubject: in\r\n\r\nhello\r\n"),
	})
	if err != nil {
		t.Error(err)
	}
	m := inside.Inbox.Next(t)
	for _, want := range []string{"by mx.example.com with ESMTPS id", "Authentication-Results: mx.example.com;", "spf=pass smtp.mailfrom=sender.example", "dkim=none", "dmarc=pass (p=reject) header.from=sender.example"} {
		if !strings.Contains(m.Text, want) {
			t.Errorf("%q is missing in\n%s", want, m.Text)
		}
	}
	if to := strings.Join(m.To(), " "); to != "alice@example.com anyone@lab.example.com" {
		t.Errorf("recipients %s", to)
	}

	// Refused: recipients that do not exist, relaying, the service, DMARC.
	smtptest.Talk(t, addr, `
		S: 220 mx.example.com
		C: EHLO host.victim.example
		S: 250 STARTTLS
		C: MAIL FROM:<x@victim.example>
		C: RCPT TO:<bob@example.org>
		C: RCPT TO:<dave@outside.example>
		C: RCPT TO:<bob@example.com>
		C: RCPT TO:<carol@example.org>
		C: RCPT TO:<alice@example.com>
		C: DATA
		S: 250
		S: 550 5.1.1
		S: 550 5.7.1
		S: 550 5.7.1 Refused by policy
		S: 451 4.3.0
		S: 250
		S: 354
		C: From: x@victim.example
		C:
		C: .
		S: 550 5.7.1
		C: AUTH PLAIN
		S: 538 5.7.11
		C: QUIT
		S: 221
	`)

	for _, password := range []string{"wrong", "looking-glass"} {
		if e.login(t.Context(), nil, "scanner", password) == nil {
			t.Errorf("scanner logs in with %s", password)
		}
	}
	// To outside: with an account, and from the networks.
	login := base64.StdEncoding.EncodeToString([]byte("\x00scanner\x00wonderland"))
	smtptest.Talk(t, addr, `
		S: 220
		C: EHLO scanner.example.com
		S: 250
		C: STARTTLS
		S: 220
		TLS
		C: EHLO scanner.example.com
		S: 250 AUTH PLAIN LOGIN
		C: AUTH PLAIN `+login+`
		S: 235
		`+toOutside)
	if m := internet.Inbox.Next(t); m.From != "alice@example.com" || !strings.Contains(m.Text, "with ESMTPSA") {
		t.Errorf("from %s\n%s", m.From, m.Text)
	}
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	smtptest.TalkOn(t, c, `
		S: 220
		C: EHLO printer
		S: 250
		`+toOutside)
	internet.Inbox.Next(t)

	stop() // as SIGTERM does
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, pattern := range []string{"protocol/RECV*.log", "tracking/*"} {
		if files, _ := filepath.Glob(filepath.Join(folder, pattern)); len(files) != 1 {
			t.Errorf("%s: %q", pattern, files)
		}
	}
	for _, want := range []string{"msg=listening", "msg=stopping", `by="policy service" code=550`} {
		if !strings.Contains(lines.String(), want) {
			t.Errorf("%q is missing in the log", want)
		}
	}
	if strings.Contains(lines.String(), "wonderland") || strings.Contains(lines.String(), login) {
		t.Error("a password is in the log")
	}
}

const toOutside = `
	C: MAIL FROM:<alice@example.com>
	C: RCPT TO:<dave@outside.example>
	C: DATA
	S: 250
	S: 250
	S: 354
	C: From: alice@example.com
	C:
	C: hello
	C: .
	S: 250
	C: QUIT
	S: 221
`

func writeCertificate(t *testing.T, folder, name string) {
	t.Helper()
	cert := smtptest.Certificate(t, name)
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: cert.Certificate[0]},
		"key.pem":  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(folder, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
