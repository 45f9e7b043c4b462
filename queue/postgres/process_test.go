package postgres

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// processURL is the environment variable with the database of a child process of the
// tests that is a node, and processBeat that with its Beat. DeadAfter is ten times as
// long if it is set.
const (
	processURL  = "BRIDGEHEAD_NODE_DATABASE"
	processBeat = "BRIDGEHEAD_NODE_BEAT"
)

// runProcess is the child process. It is the node "child", and does what the lines of
// its standard input say.
func runProcess() error {
	ctx := context.Background()
	var log logbook
	o := &Options{Node: "child", Connections: 3, Logger: log.logger()}
	if beat := os.Getenv(processBeat); beat != "" {
		d, err := time.ParseDuration(beat)
		if err != nil {
			return err
		}
		o.Beat, o.DeadAfter = d, 10*d
	}
	s, err := Open(ctx, os.Getenv(processURL), o)
	if err != nil {
		return err
	}
	fmt.Println("opened")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		command, id, _ := strings.Cut(lines.Text(), " ")
		switch command {
		case "claim":
			ms, err := s.Claim(ctx, nowClaim("child", 1))
			for len(ms) == 0 && err == nil {
				time.Sleep(10 * time.Millisecond)
				ms, err = s.Claim(ctx, nowClaim("child", 1))
			}
			if err != nil {
				return err
			}
			fmt.Println("claimed", ms[0].ID)
		case "finish":
			fmt.Println("finish", id, isLost(s.MayFinish("child", id)))
		case "remove":
			s.Remove(ctx, "child", id)
			fmt.Println("removed", id, s.Sync(ctx))
		case "await":
			for n := range s.Notices() {
				if fmt.Sprint(n.Kind) == id {
					break
				}
			}
			fmt.Println("noticed", id)
		case "log":
			fmt.Println(strings.ReplaceAll(log.String(), "\n", " "))
		}
	}
	return s.Close()
}

// A process is a child process.
type process struct {
	t     testing.TB
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string
}

// startProcess starts a child process that is a node.
func startProcess(t testing.TB, url, beat string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(os.Args[0]), lines: make(chan string, 100)}
	p.cmd.Env = append(os.Environ(), processURL+"="+url, processBeat+"="+beat)
	p.cmd.Stderr = os.Stderr
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.lines <- lines.Text()
		}
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-read
		p.cmd.Wait()
	})
	p.want("opened")
	return p
}

// tell sends a line to the process.
func (p *process) tell(format string, args ...any) {
	p.t.Helper()
	if _, err := fmt.Fprintf(p.in, format+"\n", args...); err != nil {
		p.t.Fatal(err)
	}
}

// line returns the next line of the process.
func (p *process) line() string {
	p.t.Helper()
	select {
	case line := <-p.lines:
		return line
	case <-time.After(30 * time.Second):
		p.t.Fatal("the child process is silent")
	}
	return ""
}

func (p *process) want(line string) {
	p.t.Helper()
	if got := p.line(); got != line {
		p.t.Fatalf("the child process says %q, want %q", got, line)
	}
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// stop stops the process, and waits until it is stopped.
func (p *process) stop() {
	p.t.Helper()
	p.signal(syscall.SIGSTOP)
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(p.cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		p.t.Fatalf("the child process is not stopped: %v, %v", status, err)
	}
}

// A process that is stopped for longer than DeadAfter and continues records nothing. It
// logs that, and works as a new incarnation.
func TestStoppedProcess(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	o := quick("a")
	o.DeadAfter = 2 * time.Second
	a := open(t, url, o)
	store(t, a, "one", queue.Schedule{})
	child := startProcess(t, url, "200ms")
	child.tell("claim")
	child.want("claimed one")
	incarnation := func() int64 {
		return one[int64](t, a, `select coalesce(max(id), 0) from bridgehead.node where name = 'child' and state = 'alive'`)
	}
	old := incarnation()

	child.stop()
	// What it does first when it continues: it ends the delivery.
	child.tell("finish one")
	child.tell("remove one")
	if id := claim(t, a, "qa"); id != "one" {
		t.Fatalf("a has claimed %s", id)
	}
	if n := nodeNamed(t, a, "child"); n.State != queue.NodeDead {
		t.Errorf("%+v", n)
	}
	child.signal(syscall.SIGCONT)
	child.want("finish one true")
	if line := child.line(); !strings.HasPrefix(line, "removed one") {
		t.Errorf("the child says %q", line)
	}
	child.tell("await %d", queue.NoticeLost)
	child.want(fmt.Sprintf("noticed %d", queue.NoticeLost))
	child.tell("await %d", queue.NoticeContact)
	child.want(fmt.Sprintf("noticed %d", queue.NoticeContact))
	child.tell("log")
	if log := child.line(); !strings.Contains(log, "have declared this node dead") {
		t.Errorf("its log: %s", log)
	}
	if id := incarnation(); id == 0 || id == old {
		t.Errorf("the incarnation %d after %d", id, old)
	}
	if got := stored(t, a); len(got) != 1 {
		t.Errorf("stored: %q", got)
	}
	if err := mayAll(a, "qa", "one"); err != nil {
		t.Errorf("the node that has taken over: %v", err)
	}
	if err := a.Update(t.Context(), "qa", newMessage("one"), leasedTo("qa")); err != nil {
		t.Error(err)
	}
	store(t, a, "two", queue.Schedule{})
	child.tell("claim")
	child.want("claimed two")
	child.tell("remove two")
	child.want("removed two <nil>")
	if got := stored(t, a); len(got) != 1 || got[0] != "one" {
		t.Errorf("stored: %q", got)
	}
}

// BenchmarkTakeover measures the time from kill -9 of a node until another one has its
// message, with the default settings.
func BenchmarkTakeover(b *testing.B) {
	url := pgtest.Database(b)
	a := open(b, url, nil)
	for b.Loop() {
		store(b, a, "one", queue.Schedule{})
		child := startProcess(b, url, "")
		child.tell("claim")
		child.want("claimed one")
		child.signal(syscall.SIGKILL)
		killed := time.Now()
		for {
			awaitNotice(b, a, queue.NoticeMail)
			ms, err := a.Claim(b.Context(), nowClaim("qa", 1))
			if err != nil {
				b.Fatal(err)
			}
			if len(ms) == 1 {
				break
			}
		}
		b.ReportMetric(time.Since(killed).Seconds(), "s-to-claim")
		if err := a.Remove(b.Context(), "qa", "one"); err != nil {
			b.Fatal(err)
		}
	}
}
