package main

import (
	"errors"
	"io"
	"log/slog"
	"strings"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
	"github.com/bridgehead-mail/bridgehead/queue/tracking"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// newRelay assembles the relay. Warnings of its parts go to stderr.
func newRelay(s *settings, log *slog.Logger, stderr io.Writer) (*gateway.Gateway, error) {
	if err := s.complete(); err != nil {
		return nil, err
	}
	auth, err := s.credentials()
	if err != nil {
		return nil, err
	}
	// Only warnings and errors: the tracking log records each message, and a
	// second line here would cost more than the system calls of its delivery.
	warnings := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	received := smtpserver.NewProtocolLog(&smtpserver.ProtocolLogFiles{Dir: s.logs, Prefix: "receive"})
	sent := smtpclient.NewProtocolLog(&smtpclient.ProtocolLogFiles{Dir: s.logs, Prefix: "send"})

	// Everything goes to the upstream.
	table, err := routing.NewTable(routing.Connector{
		Name: "upstream", Spaces: []string{"*"}, SmartHosts: routing.SmartHosts(s.upstream), ReportSender: s.reportSender,
		Transport: routing.SMTP(&smtpclient.Transport{
			Logger: warnings, ProtocolLog: sent, Auth: auth, TLS: smtpclient.TLSPolicy{Level: s.tls},
			ImplicitTLS: strings.HasSuffix(s.upstream, ":465"), // RFC 8314, 3.3
			// Only -tls none permits a password without TLS.
			AllowInsecureAuth: s.tls == smtpclient.TLSNone,
		}),
	})
	if err != nil {
		return nil, err
	}

	// The client reads 250 only after the message is safe on disk.
	store, err := spool.Open(s.spool, &spool.Options{Logger: log})
	if err != nil {
		return nil, err
	}
	router := &routing.Router{Table: table, Logger: warnings}
	q := &queue.Queue{Store: store, Deliverer: router, Logger: warnings}

	// Only the machines of -allow may send, and to any domain.
	gate := &policy.Gate{Networks: s.allow, Queue: q}
	srv := &smtpserver.Server{
		Name: "internal", ContentFile: store.CreateFile, Logger: warnings, ProtocolLog: received,
	}
	if err := gate.Install(srv); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	relay := &gateway.Gateway{
		Hostname:  s.hostname,
		Listeners: []*gateway.Listener{{Server: srv, Address: s.listen}},
		Queue:     q,
		Tracking:  &tracking.Log{Dir: s.logs},
		Closers:   []io.Closer{router, store, received, sent},
		Logger:    log,
	}
	s.console.Install(relay)
	return relay, nil
}
