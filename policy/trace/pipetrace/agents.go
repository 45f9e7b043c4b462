package pipetrace

import (
	"context"
	"fmt"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Wrap returns agents that call the given agents and write snapshots at the end
// of the header and at the end of data. The result begins with an additional
// agent, which the Tracer needs. The behavior of the given agents does not
// change. The first call of Wrap, WrapHooks or WrapRouted starts Duration.
func (t *Tracer) Wrap(agents []smtpserver.Agent) []smtpserver.Agent {
	t.start()
	return wrapAgents(t.agent(), agents, t.around)
}

type event = func(context.Context, *smtpserver.Session, *smtpserver.Message) error

// wrapAgents returns the agent first, and agents whose events are replaced by around.
func wrapAgents(first smtpserver.Agent, agents []smtpserver.Agent, around func(name, agent string, first bool, f event) event) []smtpserver.Agent {
	w := append([]smtpserver.Agent{first}, agents...)
	firstHeader, firstData := true, true
	for i := 1; i < len(w); i++ {
		a := &w[i]
		if f := a.EndOfHeaders; f != nil {
			a.EndOfHeaders = around("OnEndOfHeaders", a.Name, firstHeader, f)
			firstHeader = false
		}
		if f := a.EndOfData; f != nil {
			a.EndOfData = around("OnEndOfData", a.Name, firstData, f)
			firstData = false
		}
	}
	return w
}

// around returns f with snapshots before it, if it is the first of the event, and after
// it.
func (t *Tracer) around(name, agent string, first bool, f event) event {
	return func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		dir := t.of(s, m)
		if dir == nil {
			return f(ctx, s, m)
		}
		if first {
			t.receive(dir, name+","+original, viewOf(m))
		}
		err := f(ctx, s, m)
		t.receive(dir, name+","+agent, viewOf(m))
		return err
	}
}

// key is the key of a session's progress.
type key struct{ t *Tracer }

// progress has the start time of a session and its number of messages.
type progress struct {
	began    time.Time
	messages int

	message *smtpserver.Message // the message of dir and header
	dir     *folder             // nil if the message is not traced
	header  smtpserver.Header   // as received
}

func (t *Tracer) progress(s *smtpserver.Session) *progress {
	p, _ := s.Value(key{t}).(*progress)
	if p == nil {
		p = &progress{began: time.Now()}
		s.SetValue(key{t}, p)
	}
	return p
}

// of returns the folder of the session's message, or nil if it is not traced. It
// decides this once for each message, because agents may change the reverse-path.
func (t *Tracer) of(s *smtpserver.Session, m *smtpserver.Message) *folder {
	p := t.progress(s)
	if p.message != m {
		p.message, p.header = m, m.Header
		p.dir = t.folder(m.ID, m.From, func() string {
			return fmt.Sprintf("%s;%s;%d", s.ID(), p.began.UTC().Format(utc), max(p.messages, 1)) // 0 if a Switch was set after MAIL
		})
	}
	return p.dir
}

// Inherit sets Logger if it is not set. The server calls it: see
// smtpserver.Agent.Inherit.
func (t *Tracer) Inherit(d smtpserver.Defaults) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d.Fill(nil, &t.Logger)
}

// agent returns the agent that writes Original.eml.
func (t *Tracer) agent() smtpserver.Agent {
	return smtpserver.Agent{
		Name:    "pipeline tracing",
		Inherit: t.Inherit,
		Connect: func(_ context.Context, s *smtpserver.Session) error { t.progress(s); return nil },
		Mail: func(_ context.Context, s *smtpserver.Session, _ string, _ *smtp.MailOptions) error {
			t.progress(s).messages++
			return nil
		},
		EndOfHeaders: t.keep,
		EndOfData:    t.keep,
	}
}

// keep writes the message as received: with the header before all agents, and
// with the part of the body that has been received.
func (t *Tracer) keep(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
	f := t.of(s, m)
	if f == nil {
		return nil
	}
	var head [][]byte
	for _, field := range t.progress(s).header.Fields() {
		head = append(head, field)
	}
	now := m.Content()
	rest := content.Section(now, m.Header.Size(), now.Size()-m.Header.Size())
	v := viewOf(m)
	c := content.Join(content.Of(head...), rest)
	v.content, v.size = c, c.Size()
	t.first(f, v)
	return nil
}

func viewOf(m *smtpserver.Message) view {
	c := m.Content()
	v := view{from: m.From, content: c, size: c.Size()}
	for _, r := range m.Recipients {
		v.rcpts = append(v.rcpts, r.Addr)
	}
	return v
}
