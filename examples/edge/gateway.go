package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
	"github.com/bridgehead-mail/bridgehead/queue/tracking"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A gateway is the running edge.
type gateway struct {
	path string
	log  *slog.Logger

	config *config // in force
	rules  *rules
	parts  parts

	store          *spool.Spool
	router         *routing.Router
	queue          *queue.Queue
	received, sent interface{ Close() error } // protocol logs
	tracked        *queue.Subscription
	running        sync.WaitGroup // the queue and the tracking log
	failed         chan error     // what ends unasked

	internet, organisation *door
}

// newGateway assembles the edge. The configuration is found to be right before
// anything is opened.
func newGateway(path string, c *config, log *slog.Logger) (*gateway, error) {
	if _, err := newRules(c, nothing(c)); err != nil {
		return nil, err
	}
	store, err := spool.Open(c.Spool, &spool.Options{Logger: log})
	if err != nil {
		return nil, err
	}
	received := smtpserver.NewProtocolLog(&smtpserver.ProtocolLogFiles{Dir: c.Logs, Prefix: "receive"})
	sent := smtpclient.NewProtocolLog(&smtpclient.ProtocolLogFiles{Dir: c.Logs, Prefix: "send"})
	g := &gateway{path: path, log: log, config: c, store: store, received: received, sent: sent, failed: make(chan error, 4)}
	roots, resolver := c.roots(), c.resolver()
	g.router = &routing.Router{Hostname: c.Hostname, Resolver: resolver, Logger: log,
		NewTransport: func(connector string) *smtpclient.Transport {
			t := &smtpclient.Transport{Name: connector, Hostname: c.Hostname, Logger: log, ProtocolLog: sent}
			if connector == "organisation" {
				t.TLSConfig = roots
				// The balance is among sessions, so they are not to last: as
				// Exchange's SmtpMaxMessagesPerConnection.
				t.MaxMessages = 20
			}
			return t
		}}
	g.queue = &queue.Queue{Store: store, Deliverer: g.router, Hostname: c.Hostname, Logger: log}
	g.parts = parts{queue: g.queue, resolver: resolver, overflow: store.CreateFile, log: log, received: received}
	if g.rules, err = newRules(c, g.parts); err != nil {
		return nil, errors.Join(err, g.close())
	}
	g.router.SetTable(g.rules.table)
	return g, nil
}

// open listens, delivers, and writes the tracking log.
func (g *gateway) open() (err error) {
	c := g.config
	if g.internet, err = openDoor(c.Receive.Internet.Listen, g.failed); err != nil {
		return err
	}
	if g.organisation, err = openDoor(c.Receive.Organisation.Listen, g.failed); err != nil {
		return err
	}
	g.tracked = g.queue.Subscribe(0)
	events := &tracking.Log{Dir: filepath.Join(c.Logs, "tracking"), Hostname: c.Hostname}
	g.running.Go(func() {
		if err := events.Write(g.tracked); err != nil {
			g.failed <- err
		}
	})
	g.running.Go(func() {
		if err := g.queue.Run(context.Background()); err != nil {
			g.failed <- err
		}
	})
	g.internet.serve(g.rules.internet)
	g.organisation.serve(g.rules.organisation)
	g.log.Info("listening", "connector", "internet", "address", g.internet.socket.Addr().String())
	g.log.Info("listening", "connector", "organisation", "address", g.organisation.socket.Addr().String())
	return nil
}

// run goes on until ctx ends, or something else does unasked.
func (g *gateway) run(ctx context.Context, reload <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			g.log.Info("stopping")
			return nil
		case err := <-g.failed:
			return err
		case <-reload:
			if err := g.reload(ctx); err != nil {
				g.log.Error("not reloaded, all stays as it was", "error", err)
			}
		}
	}
}

// reload puts the file as it is now in force, all of it or nothing.
func (g *gateway) reload(ctx context.Context) error {
	c, err := load(g.path)
	if err != nil {
		return err
	}
	r, err := newRules(c, g.parts)
	if err != nil {
		return err
	}
	if err := g.config.fixed(c); err != nil {
		return err
	}
	g.config, g.rules = c, r
	g.router.SetTable(r.table)
	g.internet.serve(r.internet)
	g.organisation.serve(r.organisation)
	// What waits may have waited for this.
	_, err = routing.WakeQueue(g.queue)(ctx, func(queue.NextHop) bool { return true })
	g.log.Info("reloaded")
	return err
}

// close takes up to half a minute to finish what is in hand: the sessions
// first, since what they bring goes into the queue.
func (g *gateway) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var doors [2]error
	var closing sync.WaitGroup
	for i, d := range []*door{g.internet, g.organisation} {
		if d != nil {
			closing.Go(func() { doors[i] = d.close(ctx, 20*time.Second) })
		}
	}
	closing.Wait()
	err := errors.Join(doors[0], doors[1], g.queue.Shutdown(ctx))
	if g.tracked != nil {
		g.tracked.Close()
	}
	g.running.Wait()
	return errors.Join(err, g.router.Close(), g.store.Close(), g.received.Close(), g.sent.Close())
}
