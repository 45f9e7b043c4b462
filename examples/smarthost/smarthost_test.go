package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/emersion/go-smtp"
	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/queue/tracking"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

func TestMain(m *testing.M) {
	if os.Getenv("SMARTHOST_MAIN") != "" { // this test program as the command
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

const password = "sesame-4711"

// upstream is a provider that takes mail only from who logs in, under TLS.
func upstream(t *testing.T, auth smtpserver.Authenticator) *smtptest.Server {
	cert := smtptest.Certificate(t, "upstream.example")
	return smtptest.NewServer(t, &smtpserver.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
		Auth:      auth,
		Agents: []smtpserver.Agent{{Name: "accounts only", Mail: func(_ context.Context, s *smtpserver.Session, _ string, _ *smtp.MailOptions) error {
			if s.Identity() != "relay@example.com" {
				return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Authentication required"}
			}
			return nil
		}}},
	})
}

func passwords(_ context.Context, _ *smtpserver.Session, user, pass string) error {
	if user == "relay@example.com" && pass == password {
		return nil
	}
	return smtp.ErrAuthFailed
}

// A running relay, in this process.
type running struct {
	addr string
	logs string // folder
	stop func() // by the end of the test at the latest
}

func start(t *testing.T, s settings) running {
	t.Helper()
	var log bytes.Buffer
	s.spool, s.hostname = t.TempDir(), "relay.example.com"
	r, err := newRelay(&s, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- r.run(ctx, l) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		stop()
		// Credentials are in none of the logs.
		files, _ := filepath.Glob(filepath.Join(s.logs, "*"))
		if len(files) == 0 {
			t.Error("there are no logs")
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil || bytes.Contains(b, []byte(password)) || bytes.Contains(b, []byte("c2VzYW1lLTQ3MTE")) {
				t.Errorf("%s: %v, or the password is in it", f, err)
			}
		}
		if strings.Contains(log.String(), password) {
			t.Error("the password is in the log")
		}
	})
	return running{l.Addr().String(), s.logs, stop}
}

func file(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// A printer sends as printers do, and the upstream takes it from us by
// password and by token.
func TestPrinterThroughUpstream(t *testing.T) {
	for _, tt := range []struct {
		name string
		auth smtpserver.Authenticator
		s    settings
	}{
		{"password", smtpserver.PasswordAuth(passwords), settings{passwordFile: file(t, password+"\n")}},
		{"token", smtpserver.BearerAuth(func(ctx context.Context, s *smtpserver.Session, user, token string) (string, error) {
			return user, passwords(ctx, s, user, token)
		}), settings{tokenFile: file(t, password)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			up := upstream(t, tt.auth)
			tt.s.allow, tt.s.upstream, tt.s.user, tt.s.tls = "127.0.0.0/8", up.Addr, "relay@example.com", "encrypt"
			r := start(t, tt.s)
			smtptest.Talk(t, r.addr, `
				S: 220
				C: HELO printer
				S: 250
				C: MAIL FROM:<scanner@example.com>
				S: 250
				C: RCPT TO:<anybody@example.net>
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
			if m.From != "scanner@example.com" || m.To()[0] != "anybody@example.net" || m.Protocol != "ESMTPSA" ||
				!strings.HasSuffix(m.Text, "Subject: Scan\r\n\r\n[page]\r\n") {
				t.Errorf("the upstream received from %s to %v with %s:\n%s", m.From, m.To(), m.Protocol, m.Text)
			}
			r.stop()
			var what []string
			for e, err := range tracking.Search(r.logs, tracking.Filter{Recipient: "anybody@example.net"}) {
				if err != nil {
					t.Fatal(err)
				}
				what = append(what, e.Event)
			}
			if got := strings.Join(what, " "); got != "RECEIVE SEND" {
				t.Errorf("the tracking log has %q", got)
			}
		})
	}
}

// Who is in none of the networks can send nothing to anybody.
func TestStrangersAreRefused(t *testing.T) {
	r := start(t, settings{allow: "10.1.0.0/16,192.0.2.7", upstream: "127.0.0.1:9"})
	smtptest.Talk(t, r.addr, `
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
}

func TestWrongSettingsAreNamed(t *testing.T) {
	good := settings{allow: "10.0.0.0/8", upstream: "relay.example.net:587", spool: t.TempDir()}
	for _, tt := range []struct {
		change func(*settings)
		want   string
	}{
		{func(s *settings) { s.allow = "" }, "-allow"},
		{func(s *settings) { s.allow = "10.0.0.0/8,printer" }, `-allow: "printer"`},
		{func(s *settings) { s.allow = "0.0.0.0/0" }, "open relay"},
		{func(s *settings) { s.upstream = "relay.example.net" }, "-upstream"},
		{func(s *settings) { s.spool = "" }, "-spool"},
		{func(s *settings) { s.tls = "perhaps" }, `-tls: no such level: "perhaps"`},
		{func(s *settings) { s.user = "relay" }, "-password-file"},
		{func(s *settings) { s.passwordFile = "x" }, "-user"},
		{func(s *settings) { s.user, s.passwordFile = "relay", "/nowhere/at/all" }, "-password-file: open /nowhere/at/all"},
		{func(s *settings) { s.user, s.passwordFile = "relay", file(t, "\n") }, "first line is empty"},
	} {
		s := good
		tt.change(&s)
		if _, err := newRelay(&s, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want one with %q", err, tt.want)
		}
	}
}

// The command as an administrator runs it, with swaks in the printer's place;
// SIGTERM ends it well, and what could not be delivered waits in the spool
// for the next start.
func TestTheCommandItself(t *testing.T) {
	swaks := peers.Need(t, "swaks")
	dir := t.TempDir()
	down, err := net.Listen("tcp", "127.0.0.1:0") // a port where nobody listens yet
	if err != nil {
		t.Fatal(err)
	}
	upstreamAddr := down.Addr().String()
	down.Close()

	addr, stop := command(t, dir, upstreamAddr)
	if out, err := exec.Command(swaks, "--server", addr, "--from", "ups@example.com", "--to", "admin@example.net",
		"--header", "Subject: on battery").CombinedOutput(); err != nil {
		t.Fatalf("swaks: %v\n%s", err, out)
	}
	stop()

	l, err := net.Listen("tcp", upstreamAddr)
	if err != nil {
		t.Fatal(err)
	}
	inbox := smtptest.NewInbox()
	up := &smtpserver.Server{Handler: inbox}
	go up.Serve(l)
	defer up.Close()
	_, stop = command(t, dir, upstreamAddr)
	defer stop()
	if m := inbox.Next(t); m.Header.Get("Subject") != "on battery" {
		t.Errorf("the upstream received\n%s", m.Text)
	}
}

// command starts the program; stop ends it by SIGTERM and sees that it ends
// well.
func command(t *testing.T, spool, upstream string) (addr string, stop func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-listen", "127.0.0.1:0", "-allow", "127.0.0.1", "-upstream", upstream, "-spool", spool)
	cmd.Env = append(os.Environ(), "SMARTHOST_MAIN=1")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	buf := make([]byte, 4096)
	for addr == "" {
		n, err := stderr.Read(buf)
		log.Write(buf[:n])
		if _, rest, ok := strings.Cut(log.String(), "msg=listening address="); ok && strings.Contains(rest, "\n") {
			addr, _, _ = strings.Cut(rest, "\n")
		}
		if err != nil {
			t.Fatalf("smarthost: %v\n%s", errors.Join(err, cmd.Wait()), log.Bytes())
		}
	}
	drained := make(chan struct{})
	go func() { log.ReadFrom(stderr); close(drained) }()
	return addr, func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		<-drained
		if err := cmd.Wait(); err != nil {
			t.Errorf("smarthost: %v\n%s", err, log.Bytes())
		}
	}
}
