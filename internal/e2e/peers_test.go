package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// await is peers.Await with a limit.
func await(t *testing.T, limit time.Duration, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %v", what, limit)
		case <-tick.C:
		}
	}
}

// A farEnd is a real mail program and the folder of the mail that it receives.
type farEnd struct {
	addr string
	dir  string
}

// mails returns the received messages. Lines end in LF.
func (f *farEnd) mails(t *testing.T) (all []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(f.dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(b))
	}
	return all
}

// startSMTPSink runs Postfix's smtp-sink. It writes each message to a file.
func startSMTPSink(t *testing.T) *farEnd {
	bin := peers.Need(t, "smtp-sink")
	dir := peers.OpenDir(t)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	f := &farEnd{addr: peers.FreeAddr(t), dir: dir}
	args := []string{"-d", "m.%M.", f.addr, "100"}
	if os.Getuid() == 0 {
		args = append([]string{"-u", "postfix", "-R", dir}, args...)
	}
	cmd := exec.Command(bin, args...)
	cmd.Dir = dir
	run(t, cmd)
	peers.AwaitListening(t, "smtp-sink", f.addr)
	return f
}

// startPostfix runs a Postfix that delivers mail for example.net to a maildir.
func startPostfix(t *testing.T) *farEnd {
	p := (&peers.Postfix{Domains: "example.net", Main: "message_size_limit = 52428800\n"}).Start(t)
	return &farEnd{addr: p.Addr, dir: p.Maildir() + "/new"}
}

// run starts a program that is killed when the test ends.
func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() && out.Len() > 0 {
			t.Logf("%s:\n%s", cmd.Path, out.Bytes())
		}
	})
}

// perform runs a program. If the exit status is not 0, the test fails.
func perform(t *testing.T, bin string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, bin, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", bin, fmt.Sprint(args), err, out)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
