package pipetrace

import (
	"context"
	"fmt"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Wrap returns the agents with snapshots around what they do at the end of the
// header and at the end of data, and an agent of its own before them. They
// behave as before.
func (t *Tracer) Wrap(agents []smtpserver.Agent) []smtpserver.Agent {
	t.start()
	w := append([]smtpserver.Agent{t.agent()}, agents...)
	firstHeader, firstData := true, true
	for i := 1; i < len(w); i++ {
		a := &w[i]
		if f := a.EndOfHeaders; f != nil {
			a.EndOfHeaders = t.around("OnEndOfHeaders", a.Name, firstHeader, f)
			firstHeader = false
		}
		if f := a.EndOfData; f != nil {
			a.EndOfData = t.around("OnEndOfData", a.Name, firstData, f)
			firstData = false
		}
	}
	return w
}

type event = func(context.Context, *smtpserver.Session, *smtpserver.Message) error

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

// key is where a session keeps when it began and how many messages it had.
type key struct{ t *Tracer }

type progress struct {
	began    time.Time
	messages int

	message *smtpserver.Message // the one that what follows is about
	dir     *folder             // nil when it is not traced
	header  smtpserver.Header   // as it came
}

func (t *Tracer) progress(s *smtpserver.Session) *progress {
	p, _ := s.Value(key{t}).(*progress)
	if p == nil {
		p = &progress{began: time.Now()}
		s.SetValue(key{t}, p)
	}
	return p
}

// of is the folder of the session's message, nil when it is not traced. It is
// decided once, so that agents may change the reverse-path.
func (t *Tracer) of(s *smtpserver.Session, m *smtpserver.Message) *folder {
	p := t.progress(s)
	if p.message != m {
		p.message, p.header = m, m.Header
		p.dir = t.folder(m.ID, m.From, func() string {
			return fmt.Sprintf("%s;%s;%d", s.ID(), p.began.UTC().Format(utc), p.messages)
		})
	}
	return p.dir
}

// agent keeps the message as it came.
func (t *Tracer) agent() smtpserver.Agent {
	return smtpserver.Agent{
		Name:    "pipeline tracing",
		Connect: func(_ context.Context, s *smtpserver.Session) error { t.progress(s); return nil },
		Mail: func(_ context.Context, s *smtpserver.Session, _ string, _ *smtp.MailOptions) error {
			t.progress(s).messages++
			return nil
		},
		EndOfHeaders: t.keep,
		EndOfData:    t.keep,
	}
}

// keep writes the message down as it came: with the header from before all
// agents, and with what is there of the body.
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
