package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A fetching requests mail from the provider: on a schedule, and when the line is up.
type fetching struct {
	*routing.Fetcher
	scheduled, enabled bool
	up                 <-chan os.Signal
	queue              *queue.Queue
	log                *slog.Logger
}

func (c *customer) fetching(k *program.Kit, login login, srv *smtpserver.Server) *fetching {
	return &fetching{
		Fetcher: &routing.Fetcher{
			Transport: login.transport(k), Provider: routing.SmartHost{Host: c.provider}, Method: c.fetchMethod(k), Domains: c.domains,
			Interval: c.every, Schedule: parseSchedule(k, "schedule", c.schedule),
			Serve:    srv.Serve, // the connection after ATRN has the same policy and queue
			Received: func() int64 { return srv.Counters().Messages },
		},
		scheduled: c.schedule != onDemand, enabled: c.method != "none",
		up: c.up, queue: k.Queue, log: k.Logger,
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
