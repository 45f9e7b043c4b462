package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/mail"
	"strings"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// A mailer sends the service's mail.
type mailer struct {
	from   *mail.Address
	store  *spool.Spool
	router *routing.Router
	queue  *queue.Queue
}

// newMailer assembles the half of a relay that sends.
func newMailer(s *settings, log *slog.Logger) (*mailer, error) {
	from, err := mail.ParseAddress(s.from)
	if err != nil {
		return nil, fmt.Errorf("-from: %w", err)
	}
	if s.spool == "" {
		return nil, errors.New("-spool: where shall mail be kept?")
	}
	// By MX, or all of it to a provider.
	world := routing.Connector{Name: "world", Spaces: []string{"*"}}
	if s.smartHost != "" {
		world.SmartHosts = routing.SmartHosts(s.smartHost)
	} else {
		world.Port = s.port
	}
	table, err := routing.NewTable(world)
	if err != nil {
		return nil, err
	}
	resolver := new(routing.DNSResolver)
	if s.dns != "" {
		resolver.Servers = strings.Split(s.dns, ",")
	}
	store, err := spool.Open(s.spool, &spool.Options{Logger: log})
	if err != nil {
		return nil, err
	}
	m := &mailer{from: from, store: store}
	m.router = &routing.Router{Table: table, Hostname: s.hostname, Resolver: resolver, Logger: log}
	m.queue = &queue.Queue{Store: store, Deliverer: m.router, Hostname: s.hostname, Logger: log}
	return m, nil
}

// send returns when the message is safe on disk. The ID is the caller's: by it
// the queue's events tell what has become of the message.
func (m *mailer) send(ctx context.Context, id string, to *mail.Address, subject, text string) error {
	return m.queue.Submit(ctx, &queue.Message{
		ID:         id,
		From:       m.from.Address,
		Recipients: queue.Rcpt(to.Address),
		Content:    compose(id, m.from, to, subject, text),
		Origin:     queue.Origin{Connector: "service"},
	})
}

func (m *mailer) close(ctx context.Context) error {
	return errors.Join(m.queue.Shutdown(ctx), m.router.Close(), m.store.Close())
}
