package peers

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A Process is a command of this project that runs for a test.
type Process struct {
	// Addrs are the addresses that the command listens on, in the order of its
	// log.
	Addrs []string

	cmd  *exec.Cmd
	done chan struct{} // closed at the end of stderr

	mu  sync.Mutex // guards log
	log strings.Builder
}

var listening = regexp.MustCompile(`msg=listening .*address=(\S+)`)

// StartSelf starts the program of the test with env=1 in its environment; its
// TestMain must then run the main function of the command. StartSelf waits until
// the command has logged n lines "msg=listening ... address=ADDRESS". At the end
// of the test the command is killed.
func StartSelf(t testing.TB, env string, n int, args ...string) *Process {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), env+"=1")
	return start(t, env, cmd, n)
}

// RefuseSelf starts the command, as StartSelf does, with settings that it must
// refuse: it must end with status 2. RefuseSelf returns its output.
func RefuseSelf(t testing.TB, env string, args ...string) (wrote string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), env+"=1")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 2 {
		t.Errorf("%s %s: %v, want status 2\n%s", env, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Build builds the command in a folder of this project and returns the path of the
// program, for Start.
func Build(t testing.TB, folder string) (program string) {
	t.Helper()
	program = filepath.Join(t.TempDir(), filepath.Base(folder))
	cmd := exec.Command("go", "build", "-o", program, folder)
	if info, err := os.Stat(folder); err == nil && info.IsDir() { // it may be in another module
		cmd.Args[len(cmd.Args)-1], cmd.Dir = ".", folder
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", folder, err, out)
	}
	return program
}

// Start is like StartSelf, but runs a program from Build.
func Start(t testing.TB, program string, n int, args ...string) *Process {
	t.Helper()
	return start(t, filepath.Base(program), exec.Command(program, args...), n)
}

func start(t testing.TB, name string, cmd *exec.Cmd, n int) *Process {
	t.Helper()
	p := &Process{cmd: cmd, done: make(chan struct{})}
	stderr, err := p.cmd.StderrPipe()
	check(t, err)
	check(t, p.cmd.Start())
	addrs := make(chan string, n)
	go func() {
		defer close(p.done)
		found := 0
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			p.mu.Lock()
			p.log.WriteString(lines.Text() + "\n")
			p.mu.Unlock()
			if m := listening.FindStringSubmatch(lines.Text()); m != nil && found < n {
				found++
				addrs <- m[1]
			}
		}
	}()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("%s %s:\n%s", name, strings.Join(cmd.Args[1:], " "), p.Log())
		}
	})
	for range n {
		select {
		case a := <-addrs:
			p.Addrs = append(p.Addrs, a)
		case <-p.done:
			t.Fatalf("%s ended before it listened:\n%s", name, p.Log())
		}
	}
	return p
}

// Stop sends SIGTERM to the command and waits for its end. If the exit status is
// not 0, the test fails.
func (p *Process) Stop(t testing.TB) {
	t.Helper()
	check(t, p.cmd.Process.Signal(syscall.SIGTERM))
	<-p.done
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, p.Log())
	}
}

// Signal sends a signal to the command.
func (p *Process) Signal(t testing.TB, s os.Signal) {
	t.Helper()
	check(t, p.cmd.Process.Signal(s))
}

// Kill kills the command: it has no time for a shutdown.
func (p *Process) Kill() {
	if p.cmd.ProcessState == nil {
		p.cmd.Process.Kill()
		<-p.done
		p.cmd.Wait()
	}
}

// Log returns the standard error output so far.
func (p *Process) Log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// Swaks runs swaks, an SMTP test client. It returns the output, and an error if
// the server refuses the message.
func Swaks(t testing.TB, args ...string) (string, error) {
	t.Helper()
	out, err := exec.Command(Need(t, "swaks"), args...).CombinedOutput()
	return string(out), err
}
