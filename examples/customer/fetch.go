package main

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"github.com/emersion/go-sasl"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// kept is what a reload does not replace.
type kept struct {
	up   <-chan os.Signal // receives a signal when the line to the provider is up
	auth atomic.Pointer[smtpclient.Authenticator]
}

// Identity implements smtpclient.Authenticator with the login that is in use.
func (k *kept) Identity() string { return (*k.auth.Load()).Identity() }

// Start implements smtpclient.Authenticator.
func (k *kept) Start(ctx context.Context, host string, mechanisms []string, state *tls.ConnectionState) (sasl.Client, error) {
	return (*k.auth.Load()).Start(ctx, host, mechanisms, state)
}

// A fetching requests mail from the provider: on a schedule, and when the line is up.
type fetching struct {
	*routing.Fetcher
	scheduled, enabled bool
	up                 <-chan os.Signal
	queue              *queue.Queue
	log                *slog.Logger
}

func (c *customer) fetching(k *program.Kit, login login, srv *smtpserver.Server) *fetching {
	t := login.transport(k)
	t.Auth = c.kept // a reload replaces the password, but not the Fetcher
	return &fetching{
		Fetcher: &routing.Fetcher{
			Transport: t, Provider: routing.SmartHost{Host: c.provider}, Method: c.fetchMethod(k), Domains: c.domains,
			Interval: c.every, Schedule: parseSchedule(k, "schedule", c.schedule),
			Serve:    srv.Serve, // the connection after ATRN has the same policy and queue
			Received: func() int64 { return srv.Counters().Messages },
		},
		scheduled: c.schedule != onDemand, enabled: c.method != "none",
		up: c.kept.up, queue: k.Queue, log: k.Logger,
	}
}

// run requests mail until ctx ends.
func (f *fetching) run(ctx context.Context) error {
	var scheduled sync.WaitGroup
	defer scheduled.Wait()
	if f.enabled && f.scheduled {
		scheduled.Go(func() { f.Run(ctx) })
	}
	for {
		select {
		case <-f.up:
			f.lineUp(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// lineUp sends the mail that waits, and requests mail.
func (f *fetching) lineUp(ctx context.Context) {
	n, err := f.queue.RetryQueues(ctx, func(queue.NextHop) bool { return true })
	f.log.Info("the line is up: waiting mail is tried now", "messages", n, "err", err)
	if !f.enabled {
		return
	}
	if n, err = f.FetchMail(ctx); errors.Is(err, routing.ErrNoMail) {
		err = nil
	}
	if ctx.Err() == nil {
		f.log.Info("the line is up: requested mail", "method", f.Method.String(), "messages", max(n, 0), "err", err)
	}
}
