package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
	"github.com/bridgehead-mail/bridgehead/queue/tracking"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

type relay struct {
	log    *slog.Logger
	store  *spool.Spool
	router *routing.Router
	queue  *queue.Queue
	srv    *smtpserver.Server
	track  *tracking.Log
	close  []func() error // of the protocol logs
}

// newRelay assembles the relay.
func newRelay(s *settings, log *slog.Logger) (*relay, error) {
	networks, err1 := s.networks()
	host, err2 := s.host()
	level, err3 := s.level()
	auth, err4 := s.credentials()
	if s.spool == "" {
		err1 = errors.Join(err1, errors.New("-spool: where shall mail be kept?"))
	}
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	if s.hostname == "" {
		s.hostname, _ = os.Hostname()
	}
	if s.logs == "" {
		s.logs = filepath.Join(s.spool, "logs")
	}
	trouble := slog.New(warnings{log.Handler()})
	received := smtpserver.NewProtocolLog(&smtpserver.ProtocolLogFiles{Dir: s.logs, Prefix: "receive"})
	sent := smtpclient.NewProtocolLog(&smtpclient.ProtocolLogFiles{Dir: s.logs, Prefix: "send"})

	// Everything goes to the upstream.
	transport := &smtpclient.Transport{
		Name: "upstream", Hostname: s.hostname, Logger: trouble, ProtocolLog: sent,
		ImplicitTLS: s.implicitTLS(),
		TLS:         smtpclient.TLSPolicy{Level: level},
		Auth:        auth,
		// A password that may not travel in the clear is the default; -tls none
		// is the operator's word that it may.
		AllowInsecureAuth: level == smtpclient.TLSNone,
	}
	table, err := routing.NewTable(routing.Connector{
		Name: "upstream", Spaces: []string{"*"}, SmartHosts: routing.SmartHosts(host), Transport: routing.SMTP(transport),
	})
	if err != nil {
		return nil, err
	}

	// Safe on disk before a printer reads 250.
	store, err := spool.Open(s.spool, &spool.Options{Logger: log})
	if err != nil {
		return nil, err
	}
	r := &relay{log: log, store: store, track: &tracking.Log{Dir: s.logs, Hostname: s.hostname}, close: []func() error{received.Close, sent.Close}}
	r.router = &routing.Router{Table: table, Hostname: s.hostname, Logger: trouble}
	r.queue = &queue.Queue{Store: store, Deliverer: r.router, Hostname: s.hostname, Logger: trouble}

	// Only the machines of -allow, and they to everybody.
	gate := &policy.Gate{Networks: networks, Queue: r.queue}
	r.srv = &smtpserver.Server{
		Name: "internal", Hostname: s.hostname, Overflow: store.CreateFile, Logger: trouble, ProtocolLog: received,
	}
	if err := gate.Install(r.srv); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return r, nil
}

// run serves until ctx ends, and then takes up to half a minute to finish what
// is in hand.
func (r *relay) run(ctx context.Context, l net.Listener) error {
	events := r.queue.Subscribe(0)
	tracked := make(chan error)
	go func() { tracked <- r.track.Write(events) }()
	ended := make(chan error, 2)
	go func() { ended <- r.queue.Run(context.Background()) }()
	go func() { ended <- r.srv.Serve(l) }()
	r.log.Info("listening", "address", l.Addr().String())
	var err error
	select {
	case <-ctx.Done():
		r.log.Info("stopping")
	case err = <-ended: // unasked
		ended <- nil
	}
	stop, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	late := errors.Join(r.srv.Shutdown(stop), r.queue.Shutdown(stop))
	if errors.Is(late, context.DeadlineExceeded) {
		r.log.Warn("stopped before all was finished: the rest stays in the spool", "error", late)
		late = nil
	}
	err = errors.Join(err, late)
	<-ended
	<-ended
	events.Close()
	err = errors.Join(err, <-tracked, r.router.Close(), r.store.Close())
	for _, c := range r.close {
		err = errors.Join(err, c())
	}
	return err
}
