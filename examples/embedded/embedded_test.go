package main

import (
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/mail"
	"net/url"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
)

func TestMain(m *testing.M) {
	if os.Getenv("EMBEDDED_MAIN") != "" { // this test program as the command
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// start runs the service. In its DNS, the mail server internet has example.net
// and the service's own domain.
func start(t *testing.T, internet, spool string) (*peers.Process, string) {
	t.Helper()
	dns := dnstest.New(t, `
		example.net.    MX 10 mx.example.net.
		example.com.    MX 10 mx.example.net.
		mx.example.net. A 127.0.0.1
	`)
	_, port, _ := net.SplitHostPort(internet)
	p := peers.StartSelf(t, "EMBEDDED_MAIN", 1, "-listen", "127.0.0.1:0", "-from", "Example <hello@example.com>",
		"-hostname", "www.example.com", "-spool", spool, "-dns", dns.Addr, "-port", port)
	return p, "http://" + p.Addrs[0] + "/accounts"
}

func signUp(t *testing.T, base, email string) int {
	t.Helper()
	resp, err := http.PostForm(base, url.Values{"email": {email}})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func state(t *testing.T, base, email string) string {
	t.Helper()
	resp, err := http.Get(base + "/" + email)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The welcome message arrives and is readable. If a mailbox does not exist, the
// service shows the failure and the sender gets a report.
func TestMailArrives(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	internet := (&peers.Postfix{Domains: "example.net example.com",
		Main: "virtual_mailbox_maps = inline:{ { carol@example.net = box/ } { hello@example.com = box/ } }\n"}).Start(t)
	p, base := start(t, internet.Addr, t.TempDir())

	if code := signUp(t, base, "Carol <carol@example.net>"); code != http.StatusAccepted {
		t.Fatalf("status %d", code)
	}
	m, err := mail.ReadMessage(strings.NewReader(internet.Next(t)))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil || subject != "Welcome – schön, dass du da bist" || m.Header.Get("From") != `"Example" <hello@example.com>` {
		t.Errorf("%v, header %v", err, m.Header)
	}
	peers.Await(t, "the state delivered", func() bool {
		return strings.HasPrefix(state(t, base, "carol@example.net"), "delivered: ")
	})

	for email, want := range map[string]int{
		"carol@example.net":       http.StatusConflict,
		"":                        http.StatusBadRequest,
		"a@example.net\r\nBcc: b": http.StatusBadRequest,
		"root@[127.0.0.1]":        http.StatusBadRequest,
		"unknown@example.net":     http.StatusAccepted,
	} {
		if code := signUp(t, base, email); code != want {
			t.Errorf("%q: status %d, want %d", email, code, want)
		}
	}
	if report := internet.Next(t); !strings.Contains(report, "X-Original-To: hello@example.com") || !strings.Contains(report, "Status: 5.1.1") {
		t.Errorf("no report, but\n%s", report)
	}
	peers.Await(t, "the state failed", func() bool {
		return strings.HasPrefix(state(t, base, "unknown@example.net"), "failed: 550")
	})
	p.Stop(t)
}

// Accepted messages survive a crash of the process. They are delivered when the
// mail server is up again.
func TestKilled(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	down, spool := peers.FreeAddr(t), t.TempDir()
	p, base := start(t, down, spool)
	for i := range 5 {
		if code := signUp(t, base, fmt.Sprintf("user%d@example.net", i)); code != http.StatusAccepted {
			t.Fatalf("status %d", code)
		}
	}
	p.Kill()
	internet := (&peers.Postfix{Domains: "example.net example.com", Addr: down}).Start(t)
	p, _ = start(t, down, spool)
	got := map[string]bool{}
	for range 5 {
		m, err := mail.ReadMessage(strings.NewReader(internet.Next(t)))
		if err != nil {
			t.Fatal(err)
		}
		got[m.Header.Get("X-Original-To")] = true
	}
	if len(got) != 5 {
		t.Errorf("mail arrived for %v", got)
	}
	p.Stop(t)
}

func TestWrongSettingsAreNamed(t *testing.T) {
	for want, s := range map[string]settings{
		"-from":  {from: "hello", spool: t.TempDir()},
		"-spool": {from: "a@example.com"},
		"world":  {from: "a@example.com", spool: t.TempDir(), smartHost: "no host"},
	} {
		if _, err := newService(&s, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}
