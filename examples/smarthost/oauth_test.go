package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// cloud starts a token endpoint, and an upstream that accepts its token. The system
// trusts their certificate.
func cloud(t *testing.T, answer func(w http.ResponseWriter, r *http.Request)) (up *smtptest.Server, upstream, endpoint string) {
	t.Helper()
	cert := smtptest.Certificate(t, "cloud.example") // and for localhost
	t.Setenv("SSL_CERT_FILE", peers.File(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}))))
	srv := httptest.NewUnstartedServer(http.HandlerFunc(answer))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	up = smtptest.NewServer(t, &smtpserver.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
		Auth: smtpserver.BearerAuth(func(ctx context.Context, s *smtpserver.Session, user, token string) (string, error) {
			return user, passwords(ctx, s, user, token)
		}),
		Agents: []smtpserver.Agent{{Mail: func(_ context.Context, s *smtpserver.Session, _ string, _ *smtp.MailOptions) error {
			if s.Identity() != user {
				return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 57}, Message: "Client not authenticated to send mail"}
			}
			return nil
		}}},
	})
	at := func(addr string) string { return "localhost:" + addr[strings.LastIndex(addr, ":")+1:] }
	return up, at(up.Addr), at(srv.Listener.Addr().String())
}

// scan sends a page as a printer does.
func scan(t *testing.T, p *peers.Process) {
	t.Helper()
	smtptest.Talk(t, p.Addrs[0], `
		S: 220
		C: HELO printer
		S: 250
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
		C: QUIT
		S: 221
	`)
}

// rsaFiles returns files with a certificate and its key, and with the key of a Google
// service account.
func rsaFiles(t *testing.T) (cert, google string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	account, err := json.Marshal(map[string]string{"type": "service_account", "client_email": "relay@p.iam.gserviceaccount.com", "private_key": private})
	if err != nil {
		t.Fatal(err)
	}
	return peers.File(t, private+string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))), peers.File(t, string(account))
}

// The relay gets its own tokens, one for all sessions.
func TestOAuth(t *testing.T) {
	cert, google := rsaFiles(t)
	secret := "s3cr3t~4711"
	microsoft := []string{"-oauth-tenant", "example.com", "-oauth-client", "11111111-2222-3333-4444-555555555555"}
	for _, args := range [][]string{
		append(microsoft, "-oauth-secret-file", peers.File(t, secret+"\n")),
		append(microsoft, "-oauth-cert", cert),
		{"-oauth-google-key", google},
	} {
		requests := make(chan string, 100)
		up, upstream, endpoint := cloud(t, func(w http.ResponseWriter, r *http.Request) {
			requests <- r.URL.Path
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":3599,"access_token":%q}`, password)
		})
		p := start(t, t.TempDir(), upstream, []string{password, secret}, append(args, "-user", user, "-oauth-host", endpoint)...)
		for range 2 {
			scan(t, p)
			if m := up.Inbox.Next(t); m.From != "scanner@example.com" || m.Protocol != "ESMTPSA" {
				t.Errorf("from %s with %s", m.From, m.Protocol)
			}
		}
		p.Stop(t)
		if len(requests) != 1 {
			t.Errorf("%d requests for a token", len(requests))
		}
	}
}

// Without a token, mail waits, and the log says what the administrator must do. The
// response is not in it.
func TestOAuthRefused(t *testing.T) {
	_, upstream, endpoint := cloud(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"error":"invalid_client","error_description":"AADSTS7000222: private-4711"}`)
	})
	p := start(t, t.TempDir(), upstream, []string{"s3cr3t~4711", "private-4711"}, "-user", user, "-oauth-host", endpoint,
		"-oauth-tenant", "example.com", "-oauth-client", "11111111", "-oauth-secret-file", peers.File(t, "s3cr3t~4711"))
	scan(t, p)
	peers.Await(t, "a warning", func() bool { return strings.Contains(p.Log(), `level=WARN msg="next hop unreachable"`) })
	if !strings.Contains(p.Log(), "AADSTS7000222: the client secret has expired. Create a new one") {
		t.Error(p.Log())
	}
	p.Stop(t)
}

// The log says what a refusal of the password means, and so does the report about
// mail that is refused.
func TestRefusalsAreExplained(t *testing.T) {
	noPassword := &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 30}, Message: "Basic authentication is not supported for Client Submission."}
	noDelay := smtpserver.Limits{Tarpit: -1}
	cert := smtptest.Certificate(t, "upstream.example")
	up := smtptest.NewServer(t, &smtpserver.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}, Limits: noDelay,
		Auth: smtpserver.PasswordAuth(func(context.Context, *smtpserver.Session, string, string) error { return noPassword }),
	})
	p := start(t, t.TempDir(), up.Addr, []string{password}, "-user", user, "-password-file", peers.File(t, password), "-tls", "encrypt")
	scan(t, p)
	peers.Await(t, "an explanation", func() bool {
		return strings.Contains(p.Log(), `msg="next hop unreachable"`) && strings.Contains(p.Log(), "the tenant does not accept a password for sending by SMTP. Configure OAuth")
	})
	p.Stop(t)

	direct := smtptest.NewServer(t, &smtpserver.Server{Limits: noDelay, Agents: []smtpserver.Agent{{
		Rcpt: func(_ context.Context, _ *smtpserver.Session, to string, _ *smtp.RcptOptions) error {
			if to != "admin@example.net" {
				return nil
			}
			return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 68},
				Message: "TenantInboundAttribution; Direct Send not allowed for this organization from unauthorized sources"}
		},
	}}})
	p = start(t, t.TempDir(), direct.Addr, nil)
	scan(t, p)
	report := direct.Inbox.Next(t)
	if text := strings.Join(strings.Fields(report.Text), " "); !strings.Contains(text, "the tenant refuses mail for its own domains without a login (Direct Send)") {
		t.Errorf("%s", report.Text)
	}
	p.Stop(t)
}

// Settings for OAuth that contradict each other are errors at the start.
func TestWrongOAuthSettings(t *testing.T) {
	cert, google := rsaFiles(t)
	secret, open := peers.File(t, "s3cr3t"), peers.File(t, "s3cr3t")
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	const base = "-allow 10.0.0.0/8 -spool /nowhere/at/all "
	const good = base + "-upstream smtp.office365.com:587 -user relay@example.com "
	const app = good + "-oauth-tenant example.com -oauth-client 1111 "
	for args, want := range map[string]string{
		base + "-upstream h -oauth-tenant example.com -oauth-client 1 -oauth-secret-file " + secret: "-user: is required with -oauth-tenant",
		good + "-oauth-client 1111 -oauth-secret-file " + secret:                                    "-oauth-tenant: is required",
		good + "-oauth-tenant example.com -oauth-secret-file " + secret:                             "-oauth-client: is required",
		app: "-oauth-secret-file: one of",
		app + "-oauth-cert " + cert + " -oauth-secret-file " + secret:                    "-oauth-secret-file: excludes -oauth-cert",
		app + "-oauth-host https://login.example -oauth-secret-file " + secret:           "-oauth-host: is not host or host:port",
		app + "-oauth-secret-file " + open:                                               "mode 0644, want 0600",
		app + "-oauth-secret-file /nowhere/at/all":                                       "-oauth-secret-file: open /nowhere",
		app + "-oauth-cert " + secret:                                                    "-oauth-cert: ",
		app + "-oauth-google-key " + google:                                              "-oauth-google-key: excludes",
		good + "-oauth-google-key " + secret:                                             "-oauth-google-key: oauth: the key is not JSON",
		good + "-oauth-host login.example":                                               "-oauth-host: needs",
		app + "-oauth-host 192.0.2.1 -oauth-secret-file " + secret:                       "not the name of a host",
		app + "-tls encrypt -oauth-secret-file " + secret:                                `-tls: must be "domain" with OAuth`,
		app + "-tls none -oauth-secret-file " + secret:                                   `-tls: must be "domain" with OAuth`,
		app + "-password-file " + secret + " -oauth-secret-file " + secret:               "-user: needs one of -password-file, -token-file and OAuth",
		base + "-upstream 192.0.2.1:587 -user u@example.com -oauth-google-key " + google: "-upstream: must be a name with OAuth",
		good + "-oauth-tenant common -oauth-client 1111 -oauth-secret-file " + secret:    "must be one tenant",
	} {
		got := peers.RefuseSelf(t, asMain, strings.Fields(args)...)
		if !strings.Contains(got, want) || strings.Contains(got, "s3cr3t") {
			t.Errorf("%s: %s\nwant %q", args, got, want)
		}
	}
}

// The file of -token-file is read for each session: only its first line, and no file
// without a bound.
func TestTokenFile(t *testing.T) {
	for text, want := range map[string]string{
		"T0K3N\nmore": "T0K3N", "\ufeffT0K3N\r\n": "T0K3N", "\nT0K3N": "", "": "", strings.Repeat("x", maxTokenFile+1): "",
	} {
		if got, err := token(peers.File(t, text)); got != want || (err == nil) != (want != "") {
			t.Errorf("%.20q: %q, %v", text, got, err)
		}
	}
	if _, err := token("/dev/zero"); err == nil {
		t.Error("no error for a file without an end")
	}
}
