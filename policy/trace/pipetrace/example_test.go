package pipetrace_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy/trace/pipetrace"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Trace for one hour how agents change the mail of one sender.
func ExampleTracer() {
	dir, err := os.MkdirTemp("", "trace")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	tracer := &pipetrace.Tracer{Dir: dir, Sender: "david@example.com", Duration: time.Hour}
	fmt.Println(tracer.Validate())

	srv := &smtpserver.Server{Agents: []smtpserver.Agent{{
		Name:      "my agent",
		EndOfData: func(context.Context, *smtpserver.Session, *smtpserver.Message) error { return nil },
	}}}
	srv.Agents = tracer.Wrap(srv.Agents)
	q := new(queue.Queue)
	q.Hooks = tracer.WrapHooks(q.Hooks)
	for _, a := range srv.Agents {
		fmt.Println(a.Name)
	}
	// Output:
	// <nil>
	// pipeline tracing
	// my agent
}

// Start and stop tracing while the relay runs.
func ExampleSwitch() {
	dir, err := os.MkdirTemp("", "trace")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	sw := &pipetrace.Switch{New: func(sender string, d time.Duration) *pipetrace.Tracer {
		return &pipetrace.Tracer{Dir: dir, Sender: sender, Duration: d}
	}}
	srv := &smtpserver.Server{}
	srv.Agents = sw.Wrap(srv.Agents)
	q := new(queue.Queue)
	q.Hooks = sw.WrapHooks(q.Hooks)

	fmt.Println(sw.Start("david@example.com", 10*time.Minute), sw.Status().Sender)
	sw.Stop()
	fmt.Println(sw.Status().Ended)
	// Output:
	// <nil> david@example.com
	// it was stopped
}
