package pipetrace

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Switch starts and stops tracing while the relay runs. It wraps the agents, the
// hooks and the router once, before the relay runs, and costs little while nothing is
// traced. It traces one sender at a time, with a new Tracer for each Start. A message
// is traced if tracing runs when its header has been received. A Switch is safe for
// concurrent use; its fields must not change after the first use.
type Switch struct {
	// New makes the Tracer of Start, with a Dir and the limits. It may set Sender
	// and Duration to the arguments, or to other values. It must be set.
	New func(sender string, duration time.Duration) *Tracer
	// Logger receives a line when tracing starts. A Tracer without a Logger gets
	// it too. Default: that of the gateway.Gateway. If there is none, nothing is
	// logged.
	Logger *slog.Logger

	current atomic.Pointer[Tracer] // nil: nothing is traced

	mu    sync.Mutex // guards Logger in Inherit, and the fields below
	last  *Tracer    // the last one that Start has started; nil if there is none
	since time.Time
	timer *time.Timer // ends last
}

// A Status describes the tracing that was started last. The zero value means that none
// was started.
type Status struct {
	Sender, Dir  string
	Since, Until time.Time
	Messages     int    // that were traced
	Bytes        int64  // in Dir
	Ended        string // why tracing has ended; empty while it runs
}

// Start starts tracing. If tracing runs already, the previous tracing ends.
// Tracing ends by itself at the limits of the Tracer. Start returns an error if a setting is invalid, if the
// directory cannot be read, or if it has as many bytes as Tracer.MaxDir allows; then
// nothing changes.
func (s *Switch) Start(sender string, duration time.Duration) error {
	t := s.New(sender, duration)
	if err := t.Validate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.Logger == nil {
		t.Logger = s.Logger
	}
	t.start()
	if err := t.full(); err != nil {
		return err
	}
	s.stop("another was started")
	s.last, s.since = t, time.Now()
	s.current.Store(t)
	s.timer = time.AfterFunc(time.Until(t.until), func() {
		s.current.CompareAndSwap(t, nil)
		t.stop("Duration")
	})
	if t.Logger != nil {
		t.Logger.Info("pipeline tracing starts", "sender", t.Sender, "dir", t.Dir, "until", t.until)
	}
	return nil
}

// Stop stops tracing. It does nothing if nothing is traced.
func (s *Switch) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop("it was stopped")
}

// stop stops tracing. The caller holds s.mu.
func (s *Switch) stop(why string) {
	if s.timer != nil {
		s.timer.Stop()
	}
	if t := s.current.Swap(nil); t != nil {
		t.stop(why)
	}
}

// Status returns the status of the tracing that was started last.
func (s *Switch) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		return Status{}
	}
	st := s.last.status()
	st.Since = s.since
	return st
}

// Inherit sets Logger if it is not set. A gateway.Gateway calls it.
func (s *Switch) Inherit(d smtpserver.Defaults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.Fill(nil, &s.Logger)
}

// Wrap does what Tracer.Wrap does, while tracing runs.
func (s *Switch) Wrap(agents []smtpserver.Agent) []smtpserver.Agent {
	return wrapAgents(s.agent(), agents, func(name, agent string, first bool, f event) event {
		return func(ctx context.Context, session *smtpserver.Session, m *smtpserver.Message) error {
			if t := s.of(session, m); t != nil {
				return t.around(name, agent, first, f)(ctx, session, m)
			}
			return f(ctx, session, m)
		}
	})
}

// chosen is the Tracer of a message.
type chosen struct {
	message *smtpserver.Message
	tracer  *Tracer
}

type switchKey struct{ s *Switch }

// of returns the Tracer of a session's message; nil if there was none at the end of its
// header: its snapshots would not be complete.
func (s *Switch) of(session *smtpserver.Session, m *smtpserver.Message) *Tracer {
	if c, ok := session.Value(switchKey{s}).(chosen); ok && c.message == m {
		return c.tracer
	}
	return nil
}

// agent returns the agent that chooses the Tracer of a message.
func (s *Switch) agent() smtpserver.Agent {
	return smtpserver.Agent{
		Name:    "pipeline tracing",
		Inherit: s.Inherit,
		Mail: func(_ context.Context, session *smtpserver.Session, _ string, _ *smtp.MailOptions) error {
			if t := s.current.Load(); t != nil {
				t.progress(session).messages++
			}
			return nil
		},
		EndOfHeaders: func(ctx context.Context, session *smtpserver.Session, m *smtpserver.Message) error {
			t := s.current.Load()
			if t == nil {
				return nil
			}
			session.SetValue(switchKey{s}, chosen{m, t})
			return t.keep(ctx, session, m)
		},
		EndOfData: func(ctx context.Context, session *smtpserver.Session, m *smtpserver.Message) error {
			if t := s.of(session, m); t != nil {
				return t.keep(ctx, session, m)
			}
			return nil
		},
	}
}

// WrapHooks does what Tracer.WrapHooks does, while tracing runs.
func (s *Switch) WrapHooks(hooks []queue.Hook) []queue.Hook {
	return wrapHooks(hooks, func(name, hook string, first bool, f hookEvent) hookEvent {
		return func(ctx context.Context, m *queue.Message) error {
			if t := s.current.Load(); t != nil {
				return t.aroundHook(name, hook, first, f)(ctx, m)
			}
			return f(ctx, m)
		}
	})
}

// WrapRouted does what Tracer.WrapRouted does, while tracing runs. f may be nil.
func (s *Switch) WrapRouted(name string, f Routed) Routed {
	return func(ctx context.Context, m *queue.Message, rcpt *queue.Recipient, hop queue.NextHop) (queue.NextHop, error) {
		if t := s.current.Load(); t != nil {
			return t.routed(ctx, name, f, m, rcpt, hop)
		}
		if f == nil {
			return hop, nil
		}
		return f(ctx, m, rcpt, hop)
	}
}

// full returns an error if there is no space for a snapshot, or if tracing could not
// start.
func (t *Tracer) full() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.ended:
		return errors.New("pipetrace: " + t.why)
	case t.used >= t.maxDir():
		return fmt.Errorf("pipetrace: %s has %d bytes already, and at most %d are allowed: remove old snapshots", t.Dir, t.used, t.maxDir())
	}
	return nil
}

// stop ends tracing, unless it has ended.
func (t *Tracer) stop(why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ended {
		t.end(why, nil)
	}
}

func (t *Tracer) status() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	st := Status{Sender: t.Sender, Dir: t.Dir, Until: t.until, Messages: len(t.folders), Bytes: t.used, Ended: t.why}
	if st.Ended == "" && time.Now().After(t.until) {
		st.Ended = "Duration"
	}
	return st
}
