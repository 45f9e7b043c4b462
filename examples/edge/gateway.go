package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/compare"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
	"github.com/bridgehead-mail/bridgehead/queue/tracking"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// newEdge assembles the gateway from a valid configuration.
func newEdge(path string, c *config, reload <-chan os.Signal, log *slog.Logger) (*gateway.Gateway, error) {
	store, err := spool.Open(c.Spool, &spool.Options{Logger: log})
	if err != nil {
		return nil, err
	}
	received := smtpserver.NewProtocolLog(&smtpserver.ProtocolLogFiles{Dir: c.Logs, Prefix: "receive"})
	sent := smtpclient.NewProtocolLog(&smtpclient.ProtocolLogFiles{Dir: c.Logs, Prefix: "send"})
	roots, resolver := c.roots(), c.resolver()
	router := &routing.Router{
		NewTransport: func(connector string) *smtpclient.Transport {
			t := &smtpclient.Transport{Name: connector, ProtocolLog: sent}
			if connector == "organization" {
				t.TLSConfig = roots
				// Weights distribute sessions, so a session must be short. This
				// is the default of Exchange's SmtpMaxMessagesPerConnection.
				t.MaxMessages = 20
			}
			return t
		}}
	q := &queue.Queue{Store: store, Deliverer: router}
	e := &edge{path: path, config: c, log: log, router: router, queue: q,
		parts: parts{queue: q, resolver: resolver, contentFile: store.CreateFile, log: log, received: received}}
	relay := &gateway.Gateway{
		Hostname:  c.Hostname,
		Logger:    log,
		Resolver:  resolver,
		Listeners: []*gateway.Listener{{Address: c.Receive.Internet.Listen}, {Address: c.Receive.Organization.Listen}},
		Queue:     q,
		Tasks:     []func(context.Context) error{func(ctx context.Context) error { return e.reloads(ctx, reload) }},
		Tracking:  &tracking.Log{Dir: filepath.Join(c.Logs, "tracking")},
		Closers:   []io.Closer{router, store, received, sent},
	}
	relay.Parts = append(relay.Parts, e)
	e.internet, e.organization = relay.Listeners[0], relay.Listeners[1]
	if web := c.console().Install(relay); web != nil {
		web.Candidate = func(context.Context) (*compare.Candidate, error) { return candidateFile(path + ".new") }
	}
	r, err := newRules(c, e.parts)
	if err != nil { // a file has changed since the check
		return nil, errors.Join(err, router.Close(), store.Close(), received.Close(), sent.Close())
	}
	if err := e.use(r); err != nil {
		return nil, errors.Join(err, router.Close(), store.Close(), received.Close(), sent.Close())
	}
	return relay, nil
}

// An edge is the part of the gateway that SIGHUP changes.
type edge struct {
	path   string
	config *config // in use
	parts  parts
	log    *slog.Logger

	failed atomic.Pointer[string] // why the last reload failed, for the console; nil: it did not

	router                 *routing.Router
	queue                  *queue.Queue
	internet, organization *gateway.Listener
}

// use applies rules to new sessions and to the queue. It checks both servers
// before it replaces either, so that an error changes nothing.
func (e *edge) use(r *rules) error {
	if err := errors.Join(r.internet.Validate(), r.organization.Validate()); err != nil {
		return err
	}
	if err := errors.Join(e.internet.Replace(r.internet), e.organization.Replace(r.organization)); err != nil {
		return err
	}
	e.router.SetTable(r.table)
	return nil
}

// reloads calls reload for each signal until ctx ends.
func (e *edge) reloads(ctx context.Context, when <-chan os.Signal) error {
	for {
		select {
		case <-when:
			e.failed.Store(nil)
			if err := e.reload(); err != nil {
				text := "the last reload failed, see the log; the previous configuration stays in use"
				e.failed.Store(&text)
				e.log.Error("not reloaded, the previous configuration stays in use", "error", err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// Inherit implements gateway.Inheritor: an edge inherits nothing.
func (e *edge) Inherit(gateway.Defaults) {}

// Health reports a reload that has failed. The gateway works with the previous
// configuration, so it is healthy.
func (e *edge) Health() gateway.HealthCheck {
	h := gateway.HealthCheck{Name: "settings", OK: true}
	if text := e.failed.Load(); text != nil {
		h.Detail = *text
	}
	return h
}

// reload loads the file and applies it completely or, after an error, not at all.
func (e *edge) reload() error {
	c, err := load(e.path)
	if err != nil {
		return err
	}
	r, err := newRules(c, e.parts)
	if err != nil {
		return err
	}
	if err := e.config.fixed(c); err != nil {
		return err
	}
	if err := e.use(r); err != nil {
		return err
	}
	e.config = c
	e.queue.SettingsChanged() // waiting mail may be deliverable now
	e.log.Info("reloaded")
	return nil
}
