package gateway_test

import (
	"context"
	"io"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A relay runs until it gets SIGTERM. SIGHUP replaces its server, for example
// by one with a new certificate or other agents. No session is dropped.
func Example() {
	q := &queue.Queue{Store: &memory.Store{}, Deliverer: discard{}}
	newServer := func() *smtpserver.Server {
		srv := new(smtpserver.Server)
		gate := &policy.Gate{Domains: []policy.Domain{{Name: "example.com"}}, Queue: q}
		if err := gate.Install(srv); err != nil {
			panic(err)
		}
		return srv
	}
	listener := &gateway.Listener{Server: newServer(), Address: "127.0.0.1:0"}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	relay := &gateway.Gateway{
		Hostname:  "relay.example.com",
		Listeners: []*gateway.Listener{listener},
		Queue:     q,
		Tasks: []func(context.Context) error{func(ctx context.Context) error {
			for {
				select {
				case <-hup:
					if err := listener.Replace(newServer()); err != nil {
						log.Print(err) // the previous server continues
					}
				case <-ctx.Done():
					return nil
				}
			}
		}},
		Closers: []io.Closer{}, // the Router, the Store, protocol logs
		Logger:  slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: shown})),
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	stop() // like SIGTERM
	if err := relay.Run(ctx); err != nil {
		panic(err)
	}
	// Output:
	// level=INFO msg=listening connector=""
	// level=INFO msg=stopping
}

// shown removes the attributes that are different in each run.
func shown(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey || a.Key == "address" {
		return slog.Attr{}
	}
	return a
}

type discard struct{}

func (discard) Route(context.Context, *queue.Message, *queue.Recipient) (queue.NextHop, error) {
	return queue.NextHop{}, nil
}

func (discard) Deliver(_ context.Context, _ queue.NextHop, _ *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	results := make([]queue.Result, len(rcpts))
	for i := range results {
		results[i].Outcome = queue.Success
	}
	return results
}
