package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
	"github.com/bridgehead-mail/bridgehead/routing"
)

func TestMain(m *testing.M) {
	if os.Getenv("QUICKSTART_MAIN") != "" { // this test program as the command
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// The first command of the README.
func TestDemoPrintsAllResults(t *testing.T) {
	var out bytes.Buffer
	if err := (&quickstart{out: &printer{w: &out}}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	for _, want := range []string{
		"S: 550 5.7.1 Unable to relay",
		"S: 550 5.1.1 User unknown",
		"S: 235 2.7.0",
		"delivered to bob@example.com at [127.0.0.1]",
		"delivered to carol@example.net at mx.example.net",
		"The organization received: from <carol@example.net> to <bob@example.com>",
		"with ESMTPSA id",
		"to unknown@example.net failed: 550 5.1.1",
		"The organization received: from <> to <alice@example.com>",
		"Final-Recipient: rfc822; unknown@example.net",
		"All mail is delivered",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, accountPassword) {
		t.Error("the password is printed")
	}
}

// The program with -listen, -mail and -spool, and the client of the standard
// library.
func TestListenServesAClientOfYourOwn(t *testing.T) {
	mail, spoolDir := t.TempDir(), t.TempDir()
	keepOneMessage(t, spoolDir)
	out := newTape()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- (&quickstart{listen: "127.0.0.1:0", mailDir: mail, spoolDir: spoolDir, out: &printer{w: out}}).Run(ctx)
	}()
	addr := out.await(t, `relay\.example\.com at (\S+),`)

	login := smtp.PlainAuth("", account, accountPassword, "127.0.0.1")
	text := []byte("Subject: from Go\r\n\r\nHello.\r\n")
	if err := deliver(addr, nil, "x@example.net", "carol@example.net", text); err == nil || !strings.Contains(err.Error(), "5.7.1 Unable to relay") {
		t.Errorf("a stranger's mail: %v", err)
	}
	if err := deliver(addr, nil, "x@example.net", "alice@example.com", text); err != nil {
		t.Errorf("mail for the organization: %v", err)
	}
	if err := deliver(addr, login, "alice@example.com", "carol@example.net", text); err != nil {
		t.Errorf("a user's mail: %v", err)
	}
	wrong := smtp.PlainAuth("", account, "looking-glass", "127.0.0.1")
	if err := deliver(addr, wrong, "alice@example.com", "carol@example.net", text); err == nil || !strings.HasPrefix(err.Error(), "535") {
		t.Errorf("a wrong password: %v", err)
	}
	out.await(t, `delivered to alice@example\.com`)
	out.await(t, `delivered to carol@example\.net`)
	out.await(t, `kept delivered to bob@example\.com`)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for dir, want := range map[string]int{"organization": 2, "internet": 1} {
		files, _ := filepath.Glob(filepath.Join(mail, dir, "*.eml"))
		if len(files) != want {
			t.Errorf("%s: %d files, want %d", dir, len(files), want)
		}
		for _, f := range files {
			if b, err := os.ReadFile(f); err != nil || !bytes.HasSuffix(b, text) {
				t.Errorf("%s: %v, %q", f, err, b)
			}
		}
	}
}

// The commands of the README: the program as a process, and swaks.
func TestSwaks(t *testing.T) {
	peers.Need(t, "swaks")
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	cmd, out := exec.Command(os.Args[0], "-listen", "127.0.0.1:0"), newTape()
	cmd.Env = append(os.Environ(), "QUICKSTART_MAIN=1")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	addr := out.await(t, `relay\.example\.com at (\S+),`)
	const server = "swaks --server 127.0.0.1:2525 "
	tried := 0
	for line := range strings.Lines(strings.ReplaceAll(string(readme), "\\\n", "")) {
		if !strings.HasPrefix(line, "    "+server) || !strings.Contains(line, "@example.net") || tried == 3 {
			continue
		}
		tried++
		command, remark, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), server), " #")
		said, err := peers.Swaks(t, append([]string{"--server", addr}, strings.Fields(command)...)...)
		refused := strings.Contains(remark, "refused: 550 5.7.1")
		if refused != (err != nil) || refused != strings.Contains(said, "550 5.7.1") {
			t.Errorf("%s: %v\n%s", line, err, said)
		}
	}
	if tried != 3 {
		t.Errorf("%d commands in the README", tried)
	}
	out.await(t, `organization received: from <you@example\.net> to <alice@example\.com>`)
	out.await(t, `internet received: from <alice@example\.com> to <carol@example\.net>`)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, out.text.String())
	}
}

// The console of the README's command shows the message that waits.
func TestConsole(t *testing.T) {
	cmd, out := exec.Command(os.Args[0], "-console", "127.0.0.1:0"), newTape()
	cmd.Env = append(os.Environ(), "QUICKSTART_MAIN=1")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	url := out.await(t, `(http://127\.0\.0\.1:\S+)`)
	out.await(t, `(dave@example\.org will be tried again)`)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar}
	defer client.CloseIdleConnections()
	if _, err := get(client, url); err != nil { // the token, for the cookie
		t.Fatal(err)
	}
	base, _, _ := strings.Cut(url, "/?")
	page, err := get(client, base+"/messages")
	if err != nil || !strings.Contains(page, "dave@example.org") || !strings.Contains(page, "connection refused") {
		t.Errorf("%v\n%s", err, page)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, out.text.String())
	}
}

func get(client *http.Client, url string) (string, error) {
	answer, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = errors.New(answer.Status)
	}
	return string(body), err
}

// keepOneMessage leaves a message in the spool, as an earlier run that was
// stopped before the delivery.
func keepOneMessage(t *testing.T, dir string) {
	t.Helper()
	s, err := spool.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	q := &queue.Queue{Store: s, Deliverer: new(routing.Router)}
	if err := q.Submit(t.Context(), &queue.Message{ID: "kept", From: "x@example.net", Recipients: queue.Rcpt("bob@example.com"),
		Content: queue.String("Subject: from Go\r\n\r\nHello.\r\n")}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func deliver(addr string, auth smtp.Auth, from, to string, text []byte) error {
	c, err := smtp.Dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if auth != nil {
		if err := c.StartTLS(&tls.Config{InsecureSkipVerify: true, ServerName: "127.0.0.1"}); err != nil {
			return err
		}
		if err := c.Auth(auth); err != nil {
			return err
		}
	}
	if err := c.Mail(from); err != nil {
		return err
	}
	if err := c.Rcpt(to); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return c.Quit()
}

// A tape records what the program prints. A test can wait for a text.
type tape struct {
	mu   sync.Mutex // guards text and more
	text bytes.Buffer
	more chan struct{} // closed when there is more text
}

func newTape() *tape { return &tape{more: make(chan struct{})} }

func (w *tape) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.more)
	w.more = make(chan struct{})
	return w.text.Write(b)
}

// await waits until the text matches and returns the first group.
func (w *tape) await(t *testing.T, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	limit := time.After(30 * time.Second)
	for {
		w.mu.Lock()
		text, more := w.text.String(), w.more
		w.mu.Unlock()
		if m := re.FindStringSubmatch(text); m != nil {
			return m[len(m)-1]
		}
		select {
		case <-more:
		case <-limit:
			t.Fatalf("no %q in\n%s", pattern, text)
		}
	}
}
