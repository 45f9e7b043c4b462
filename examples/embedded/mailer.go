package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/mail"
	"strings"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// A mailer sends the mail of the service. It is a relay without a listener.
type mailer struct {
	gateway.Gateway
	from *mail.Address
}

func newMailer(s *settings, log *slog.Logger) (*mailer, error) {
	from, err := mail.ParseAddress(s.from)
	if err != nil {
		return nil, fmt.Errorf("-from: %w", err)
	}
	if s.spool == "" {
		return nil, errors.New("-spool: is required")
	}
	// All mail goes to the smart host, or to the MX hosts if there is none.
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
	store, err := spool.Open(s.spool, &spool.Options{Logger: log})
	if err != nil {
		return nil, err
	}
	resolver := &routing.DNSResolver{Servers: strings.FieldsFunc(s.dns, func(r rune) bool { return r == ',' })}
	router := &routing.Router{Table: table}
	m := &mailer{from: from, Gateway: gateway.Gateway{
		Hostname: s.hostname,
		Logger:   log,
		Resolver: resolver,
		Queue:    &queue.Queue{Store: store, Deliverer: router},
		Closers:  []io.Closer{router, store},
	}}
	s.console.Install(&m.Gateway)
	// The program submits messages before Run begins.
	if err := m.Validate(); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return m, nil
}

// send submits a message. When it returns nil, the message is safe on disk. The
// queue's events about the message have the caller's id.
func (m *mailer) send(ctx context.Context, id string, to *mail.Address, subject, text string) error {
	return m.Queue.Submit(ctx, &queue.Message{
		ID:         id,
		From:       m.from.Address,
		Recipients: queue.Rcpt(to.Address),
		Content:    compose(id, m.from, to, subject, text),
		Origin:     queue.Origin{Connector: "service"},
	})
}
