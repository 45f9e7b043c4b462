package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/queue/tracking"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

const asMain = "SMARTHOST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" { // this test program as the command
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

const (
	user     = "relay@example.com"
	password = "sesame-4711"
)

// start runs the relay. At the end of the test it checks that no log contains
// the secrets.
func start(t *testing.T, spool, upstream string, secrets []string, more ...string) *peers.Process {
	t.Helper()
	p := peers.StartSelf(t, asMain, 1, append(more, "-listen", "127.0.0.1:0", "-allow", "127.0.0.0/8", "-upstream", upstream,
		"-hostname", "relay.example.com", "-spool", spool)...)
	t.Cleanup(func() {
		p.Kill()
		logs := []byte(p.Log())
		files, _ := filepath.Glob(filepath.Join(spool, "logs", "*.[Ll][Oo][Gg]")) // the pattern is valid
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Error(err)
			}
			logs = append(logs, b...)
		}
		if !bytes.Contains(logs, []byte("EHLO relay.example.com")) {
			t.Error("there is no protocol log")
		}
		for _, s := range secrets {
			for _, form := range []string{s, base64.StdEncoding.EncodeToString([]byte(s)),
				base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + s))} {
				if bytes.Contains(logs, []byte(form)) {
					t.Errorf("%q is in the logs", form)
				}
			}
		}
	})
	return p
}

// provider starts a Postfix that accepts mail only from a client that has
// logged in over TLS. It has the mailboxes of example.net. The system trusts
// its certificate.
func provider(t *testing.T) (p *peers.Postfix, upstream string) {
	t.Helper()
	cert := smtptest.Certificate(t, "smtp.provider.example") // and for localhost
	t.Setenv("SSL_CERT_FILE", peers.File(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}))))
	p = (&peers.Postfix{Domains: "example.net", Certificate: &cert, Accounts: map[string]string{user: password}}).Start(t)
	_, port, _ := net.SplitHostPort(p.Addr)
	return p, "localhost:" + port
}

// arrives checks that the next message at the provider comes from the relay's
// account.
func arrives(t *testing.T, p *peers.Postfix, subject string) {
	t.Helper()
	m := p.Next(t)
	for _, want := range []string{"X-Original-To: admin@example.net\n", "Subject: " + subject + "\n", "(using TLSv1.3", "(Authenticated sender: " + user + ")"} {
		if !strings.Contains(m, want) {
			t.Errorf("no %q in what the provider received:\n%s", want, m)
		}
	}
}

func swaks(t *testing.T, p *peers.Process, subject string) {
	t.Helper()
	if out, err := peers.Swaks(t, "--server", p.Addrs[0], "--from", "ups@example.com", "--to", "admin@example.net", "--header", "Subject: "+subject); err != nil {
		t.Fatalf("swaks: %v\n%s", err, out)
	}
}

// Mail of machines is delivered through the provider. The relay logs in there
// with a password or a token.
func TestPrintersThroughProvider(t *testing.T) {
	provider, upstream := provider(t)
	for flag, secret := range map[string]string{"-password-file": password, "-token-file": peers.Token(t, user)} {
		p := start(t, t.TempDir(), upstream, []string{secret}, "-user", user, flag, peers.File(t, secret+"\n"))
		swaks(t, p, "on battery")
		arrives(t, provider, "on battery")
		if out, err := exec.Command(peers.NeedPython(t), "-c", alert, p.Addrs[0]).CombinedOutput(); err != nil {
			t.Fatalf("smtplib: %v\n%s", err, out)
		}
		arrives(t, provider, "disk full")
		p.Stop(t)
	}
	for _, method := range []string{"PLAIN", "XOAUTH2"} {
		if !strings.Contains(provider.Log(t), "sasl_method="+method+", sasl_username="+user) {
			t.Errorf("%s was not used", method)
		}
	}
}

// alert is a script of a monitoring system.
const alert = `
import smtplib, sys
from email.message import EmailMessage
m = EmailMessage()
m["From"], m["To"], m["Subject"] = "monitor@example.com", "admin@example.net", "disk full"
m.set_content("97 %")
host, port = sys.argv[1].split(":")
with smtplib.SMTP(host, int(port)) as s:
    s.send_message(m)
`

// While the password is wrong, or no known authority has signed the provider's
// certificate, mail waits and the log gives the reason.
func TestMailWaits(t *testing.T) {
	provider, upstream := provider(t)
	roots := os.Getenv("SSL_CERT_FILE")
	for why, now := range map[string]struct{ roots, password string }{
		"authentication failed": {roots, "sesame-4712"},
		"unknown authority":     {"/dev/null", password},
	} {
		t.Setenv("SSL_CERT_FILE", now.roots)
		spool, passwordFile := t.TempDir(), peers.File(t, now.password)
		p := start(t, spool, upstream, []string{now.password}, "-user", user, "-password-file", passwordFile)
		taken := strings.Count(provider.Log(t), ": from=<ups@")
		swaks(t, p, why)
		peers.Await(t, "a warning", func() bool { return strings.Contains(p.Log(), `level=WARN msg="next hop unreachable"`) })
		if !strings.Contains(p.Log(), why) {
			t.Errorf("the log does not say %q", why)
		}
		p.Stop(t)
		if strings.Count(provider.Log(t), ": from=<ups@") > taken {
			t.Error("the provider has accepted the message")
		}

		t.Setenv("SSL_CERT_FILE", roots)
		if err := os.WriteFile(passwordFile, []byte(password), 0o600); err != nil {
			t.Fatal(err)
		}
		p = start(t, spool, upstream, []string{password}, "-user", user, "-password-file", passwordFile)
		arrives(t, provider, why)
		p.Stop(t)
	}
}

// upstream starts a provider that needs no Postfix.
func upstream(t *testing.T, auth smtpserver.Authenticator) *smtptest.Server {
	cert := smtptest.Certificate(t, "upstream.example")
	return smtptest.NewServer(t, &smtpserver.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
		Auth:      auth,
		Agents: []smtpserver.Agent{{Name: "accounts only", Mail: func(_ context.Context, s *smtpserver.Session, _ string, _ *smtp.MailOptions) error {
			if s.Identity() != user {
				return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Authentication required"}
			}
			return nil
		}}},
	})
}

func passwords(_ context.Context, _ *smtpserver.Session, name, pass string) error {
	if name == user && pass == password {
		return nil
	}
	return smtp.ErrAuthFailed
}

// A printer uses HELO and only the commands that are required. The tracking log
// has each message.
func TestPrinterThroughUpstream(t *testing.T) {
	for flag, auth := range map[string]smtpserver.Authenticator{
		"-password-file": smtpserver.PasswordAuth(passwords),
		"-token-file": smtpserver.BearerAuth(func(ctx context.Context, s *smtpserver.Session, user, token string) (string, error) {
			return user, passwords(ctx, s, user, token)
		}),
	} {
		up, spool := upstream(t, auth), t.TempDir()
		p := start(t, spool, up.Addr, []string{password}, "-user", user, flag, peers.File(t, password+"\n"), "-tls", "encrypt")
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
		m := up.Inbox.Next(t)
		if m.From != "scanner@example.com" || m.To()[0] != "admin@example.net" || m.Protocol != "ESMTPSA" ||
			!strings.HasSuffix(m.Text, "Subject: Scan\r\n\r\n[page]\r\n") {
			t.Errorf("the upstream received from %s to %v with %s:\n%s", m.From, m.To(), m.Protocol, m.Text)
		}
		p.Stop(t)
		var what []string
		for e, err := range tracking.Search(filepath.Join(spool, "logs", "tracking"), tracking.Filter{Recipient: "admin@example.net"}) {
			if err != nil {
				t.Fatal(err)
			}
			what = append(what, e.Event)
		}
		if got := strings.Join(what, " "); got != "RECEIVE BEGINTRANSFER SEND" {
			t.Errorf("the tracking log has %q", got)
		}
	}
}

// A client outside the networks of -allow cannot send to any recipient.
func TestStrangersAreRefused(t *testing.T) {
	p := peers.StartSelf(t, asMain, 1, "-listen", "127.0.0.1:0", "-allow", "10.1.0.0/16,192.0.2.7", "-upstream", "127.0.0.1:9",
		"-hostname", "relay.example.com", "-spool", t.TempDir())
	smtptest.Talk(t, p.Addrs[0], `
		S: 220
		C: EHLO stranger.test
		S: 250
		C: MAIL FROM:<a@example.net>
		S: 250
		C: RCPT TO:<b@example.org>
		S: 550 5.7.1 Unable to relay
		C: RCPT TO:<postmaster>
		S: 550
		C: RCPT TO:<c%example.org@relay.example.com>
		S: 550 5.7.1
	`)
	p.Stop(t)
}

func TestWrongSettingsAreNamed(t *testing.T) {
	const mx = "-allow 10.0.0.0/8 -spool /nowhere/at/all "
	const good = mx + "-upstream smtp.example.net:587 "
	for args, want := range map[string]string{
		"":                                 "-allow: is required",
		"-allow 10.0.0.0/8,printer":        `invalid value "10.0.0.0/8,printer" for flag -allow: policy: network "printer"`,
		"-allow 10.0.0.0/8 -upstream host": "-spool: is required",
		good + "-upstream host:0":          `-upstream[1]: "host:0": the port "0" is not a number`,
		mx + "-port 99999":                 "-port: 99999 is not 1 to 65535",
		"-allow 10.0.0.0/8 -spool /nowhere/at/all -user relay -password-file " + peers.File(t, "x"): "-user: needs -upstream",
		good + "-listen-tls :465":                                  "-listen-tls: needs -cert and -key",
		good + "-old-tls":                                          "-old-tls: needs -cert and -key",
		good + "-bare-lf 10.1.0.0/16,192.0.2.7":                    "-bare-lf: 192.0.2.7/32 is not in -allow",
		good + "-default-domain a@b":                               `-default-domain: "a@b" is an address, not a domain`,
		good + "-from example.com":                                 `-from: "example.com" is not an address`,
		good + "-from-keep a@example.com":                          "-from-keep: needs -from",
		good + "-upstream-for a@example.com":                       `-upstream-for: "a@example.com" is not`,
		good + "-alarm-command page":                               `-alarm-command: "page" is not the full path`,
		good + "-alarm-command /nowhere/at/all":                    "-alarm-command: ",
		good + "-alarm-url ftp://x":                                "-alarm-url: is not an http or https URL",
		good + "-alarm-after 5ms":                                  "-alarm-after: 5ms is less than one second",
		good + "-tls perhaps":                                      `for flag -tls: unknown TLS level "perhaps"`,
		good + "-user relay":                                       "-user: needs one of -password-file and -token-file",
		good + "-password-file x":                                  "-user: is required with",
		good + "-user relay -password-file /nowhere/at/all":        "-password-file: open /nowhere/at/all",
		good + "-user relay -password-file " + peers.File(t, "\n"): "first line is empty",
		good + "-allow 0.0.0.0/0 -spool " + t.TempDir():            "open relay",
		// Settings that would have no effect.
		good + "-alarm-after 10m":                "-alarm-after: needs -alarm-command or -alarm-url",
		good + "-graph-rate 10":                  "-graph-rate: needs -graph",
		good + "-graph-host graph.microsoft.us":  "-graph-host: needs -graph",
		good + "-port 2525":                      "-port: is the port of MX hosts",
		mx + "-report-sender relay@example.com":  "-report-sender: needs -upstream",
		mx + "-port 2525 -retry-now extra words": `"extra words" is not a flag`,
		good + "25":                              `"25" is not a flag`,
	} {
		if got := peers.RefuseSelf(t, asMain, strings.Fields(args)...); !strings.Contains(got, want) {
			t.Errorf("%s: %s\nwant %q", args, got, want)
		}
	}
}
