package program

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/compare"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/queue/pickup"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// newParts makes the parts that a reload does not replace, without a store.
func newParts(l *loaded, log *slog.Logger) *parts {
	p := &parts{
		queue: new(queue.Queue), router: new(routing.Router), resolver: &routing.DNSResolver{Servers: l.DNS, TrustAD: l.DNSSEC}, log: log,
		kept:  make(map[string]any),
		trace: newTracing(log),
	}
	p.received, p.sent = l.protocolLogs()
	return p
}

// assemble makes a gateway that is only checked, without a store. Its warnings are
// what is probably wrong.
func (p *Program) assemble(l *loaded, log *slog.Logger) (relay *gateway.Gateway, warnings []string, err error) {
	if l.unread { // its settings would all be missing
		return nil, nil, l.err()
	}
	parts := newParts(l, log)
	k := parts.kit(l)
	r := l.own.Build(k)
	if err := k.err(); err != nil {
		return nil, nil, err
	}
	relay = parts.gateway(k, &r)
	parts.queue.Store = new(memory.Store)
	if err := k.valid(relay, &r); err != nil {
		return nil, nil, err
	}
	return relay, k.warnings(relay, &r), nil
}

// Assemble makes a gateway with a queue in memory, for tests of its policy.
func (p *Program) Assemble(args ...string) (*gateway.Gateway, error) {
	l := p.parse(args, io.Discard)
	if l.usage != nil {
		return nil, l.usage
	}
	relay, _, err := p.assemble(l, slog.New(slog.DiscardHandler))
	return relay, err
}

// start makes the gateway that runs.
func (p *Program) start(l *loaded, args []string, hup <-chan os.Signal, log *slog.Logger) (*gateway.Gateway, error) {
	if _, _, err := p.assemble(l, slog.New(slog.DiscardHandler)); err != nil {
		return nil, err // before the queue is opened
	}
	store, err := l.openStore(log)
	if err != nil {
		return nil, err
	}
	parts := newParts(l, log)
	parts.store, parts.folder, parts.queue.Store = store, l.State, store
	k := parts.kit(l)
	r := l.own.Build(k)
	if err := k.err(); err != nil { // a file has changed since the check
		return nil, errors.Join(err, store.Close())
	}
	k.refusePaused(&r)
	relay := parts.gateway(k, &r)
	relay.Closers = append(append(relay.Closers, parts.router, store), parts.logClosers()...)
	running := &reloader{program: p, args: args, hup: hup, parts: parts, relay: relay, log: log, in: k, watched: k.files}
	running.expired = !k.expired(time.Now()).IsZero() // Run logs the warnings of the start
	relay.Tasks = append(relay.Tasks, running.run)
	relay.Parts = append(relay.Parts, running)
	if l.RetryNow {
		relay.Tasks = append(relay.Tasks, func(ctx context.Context) error { return retryAll(ctx, relay) })
	}
	if l.Metrics != "" {
		relay.Tasks = append(relay.Tasks, func(ctx context.Context) error { return serveMetrics(ctx, relay, l.Metrics) })
	}
	if web := l.Console.Install(relay); web != nil {
		web.Tracing = &parts.trace.Switch
		if l.config != "" {
			web.Candidate = func(context.Context) (*compare.Candidate, error) { return running.candidate() }
		}
	}
	for _, warning := range r.warnings() {
		log.Warn(warning)
	}
	k.setLevels(relay)
	parts.apply(k, &r)
	relay.Warnings() // gives the queue the settings of the relay, before pauseQueue uses it
	k.pauseQueue(&Settings{Pause: pauses[0]})
	return relay, nil
}

// openStore opens the queue.
func (l *loaded) openStore(log *slog.Logger) (Store, error) {
	own, is := l.own.(Storer)
	if !is {
		return spool.Open(l.State, &spool.Options{Logger: log})
	}
	if err := os.MkdirAll(l.State, 0o700); err != nil {
		return nil, err
	}
	return own.OpenStore(&l.Settings, log)
}

// traced makes the agents and hooks of rules write snapshots while tracing runs.
func (p *parts) traced(r *Rules) {
	servers := slices.Clone(r.Servers)
	for _, c := range r.Receive {
		servers = append(servers, c.Server)
	}
	for _, srv := range servers {
		srv.Agents = p.trace.Wrap(srv.Agents)
	}
	r.Hooks = p.trace.WrapHooks(r.Hooks)
}

// apply applies what has no effect before the rules are in use.
func (p *parts) apply(k *Kit, r *Rules) {
	if err := p.trace.apply(&k.Settings); err != nil {
		p.log.Error("pipeline tracing does not start", "error", err)
	}
	for _, f := range r.Applied {
		f()
	}
}

// gateway assembles the relay.
func (p *parts) gateway(k *Kit, r *Rules) *gateway.Gateway {
	q := p.queue
	q.Deliverer = p.router
	q.Retry = queue.Retry{Expiry: k.Expire, DelayNotice: k.Delay}
	if r.Retry != nil {
		q.Retry = r.Retry
	}
	q.Reports = queue.Reports{From: k.ReportFrom, CopyTo: k.Postmaster}
	q.Hooks = []queue.Hook{p.hooks.hook()}
	if k.BadMail != "" {
		q.BadMail = queue.BadMailDir(k.BadMail)
	}
	if p.router.NewTransport == nil {
		p.router.NewTransport = p.transport
	}
	p.router.Table = r.Table
	p.router.Routed = p.trace.WrapRouted("routing", nil)
	p.traced(r)
	p.hooks.set(r.Hooks)
	relay := &gateway.Gateway{
		Hostname: k.Hostname,
		Logger:   p.log,
		Resolver: p.resolver,
		Servers:  r.Servers,
		Queue:    q,
		Tasks:    r.Tasks,
		Parts:    r.Parts,
		Tracking: k.tracking(),
		Closers:  r.Closers,
	}
	for _, c := range r.Receive {
		relay.Listeners = append(relay.Listeners, &gateway.Listener{Server: c.Server, Address: c.Address, RemoteNetworks: c.RemoteNetworks})
	}
	for dir, replay := range map[string]bool{k.Pickup: false, k.Replay: true} {
		if dir != "" {
			f := &pickup.Folder{Dir: dir, Submit: q.Submit, Replay: replay, MaxSize: int64(k.MaxSize), MaxRecipients: k.MaxRecipients}
			relay.Parts, relay.Tasks = append(relay.Parts, f), append(relay.Tasks, f.Run)
		}
	}
	return relay
}

// hooks are the hooks of the rules in use.
type hooks struct{ now atomic.Pointer[[]queue.Hook] }

func (h *hooks) set(hs []queue.Hook) { h.now.Store(&hs) }

// hook calls the hooks in use.
func (h *hooks) hook() queue.Hook {
	return queue.Hook{
		Name: "gateway",
		Submitted: func(ctx context.Context, m *queue.Message) error {
			for _, one := range *h.now.Load() {
				if one.Submitted != nil {
					if err := one.Submitted(ctx, m); err != nil {
						return err
					}
				}
			}
			return nil
		},
		Resolved: func(ctx context.Context, m *queue.Message) error {
			for _, one := range *h.now.Load() {
				if one.Resolved != nil {
					if err := one.Resolved(ctx, m); err != nil {
						return err
					}
				}
			}
			return nil
		},
	}
}

// retryAll tries all waiting messages as soon as the relay runs.
func retryAll(ctx context.Context, relay *gateway.Gateway) error {
	select {
	case <-relay.Ready():
	case <-ctx.Done():
		return nil
	}
	if _, err := relay.Queue.Do(ctx, queue.Filter{}, queue.RetryNow()); err != nil && ctx.Err() == nil {
		relay.Logger.Error("the waiting messages are not tried now", "error", err)
	}
	return nil
}

// setLevels sets the log levels of the parts.
func (k *Kit) setLevels(relay *gateway.Gateway) {
	for part, l := range relay.Levels() {
		l.Set(k.LogLevel)
		if k.Quiet && !k.isSet("log-level") && part != "gateway" && part != "store" {
			l.Set(slog.LevelWarn)
		}
	}
}
