package audit

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// An Audit listens to the agents and the Handler of one server or several.
// The fields must not change once it is in use.
type Audit struct {
	// Sink gets the trail of each message when its fate is known, on the
	// session's goroutine: it must not take long. nil keeps only counters.
	Sink func(*Trail)
	// Logger gets a line for each message at level Info; nil is silent.
	Logger *slog.Logger
	// MaxEntries bounds a trail. Default 1000. A quarter of them is for what
	// comes before the message and another one for what comes after its
	// recipients, so that neither many greetings nor many recipients keep out
	// what was said of the content.
	MaxEntries int

	mu       sync.Mutex // guards counters: the list, not what it points to
	counters []*counter
}

// key is where a session keeps its record.
type key struct{ a *Audit }

// record is what is known of a session. It is used on its goroutine only.
type record struct {
	session []Entry // what was said of the session, before any message
	lost    int     // of that, for want of room
	message *smtpserver.Message
	entries []Entry
	dropped int
	last    string // the last refusal, not to be noted twice
	discard bool   // the message is going to be dropped
	all     bool   // and so are all of the session
}

func (a *Audit) record(s *smtpserver.Session) *record {
	r, _ := s.Value(key{a}).(*record)
	if r == nil {
		r = new(record)
		s.SetValue(key{a}, r)
	}
	return r
}

func (a *Audit) listens() bool { return a.Sink != nil || a.Logger != nil }

// note adds an entry: to the message where there is one, else to the session.
func (a *Audit) note(s *smtpserver.Session, e Entry) {
	r := a.record(s)
	most := a.MaxEntries
	if most <= 0 {
		most = 1000
	}
	if m := s.Message(); m != r.message {
		a.tell(s, r, Unsent) // the one before was never finished
		r.message = m
	}
	e.Verdict, e.About = e.Verdict[:min(len(e.Verdict), maxText)], e.About[:min(len(e.About), maxText)]
	n := len(r.session) + len(r.entries)
	switch {
	case r.message == nil && n >= max(most/4, 1):
		r.lost++
	case r.message == nil:
		r.session = append(r.session, e)
	case n >= most, n >= most*3/4 && e.Event == rcpt:
		r.dropped++
	default:
		r.entries = append(r.entries, e)
	}
}

// maxText bounds the texts of an entry.
const maxText = 1000

// tell passes the trail of the message on, and forgets it.
func (a *Audit) tell(s *smtpserver.Session, r *record, o Outcome) {
	m := r.message
	if m == nil {
		return
	}
	if (r.discard || r.all) && o != Refused {
		o = Discarded
	}
	t := &Trail{Session: s.ID(), Message: m.ID, From: m.From, Outcome: o, Dropped: r.dropped + r.lost}
	for _, rcpt := range m.Recipients {
		t.To = append(t.To, rcpt.Addr)
	}
	t.Entries = append(append(t.Entries, r.session...), r.entries...)
	r.message, r.entries, r.dropped, r.last, r.discard = nil, nil, 0, "", false
	if a.Logger != nil {
		last := ""
		if n := len(t.Entries); n > 0 {
			last = t.Entries[n-1].Agent + ": " + t.Entries[n-1].Verdict
		}
		a.Logger.Info("audit", slog.String("session", t.Session), slog.String("message", t.Message), slog.String("from", t.From),
			slog.String("outcome", string(o)), slog.Int("entries", len(t.Entries)), slog.String("last", last))
	}
	if a.Sink != nil {
		a.Sink(t)
	}
}

// after notes what an agent said, and sees whether that ends the message.
func (a *Audit) after(s *smtpserver.Session, c *counter, about string, took time.Duration, err error) {
	c.add(took, err)
	if !a.listens() {
		return
	}
	e := Entry{Event: c.event, Agent: c.agent, Verdict: verdict(err), About: about, Took: took}
	a.note(s, e)
	if err == nil || errors.Is(err, smtpserver.ErrAccept) {
		return
	}
	r := a.record(s)
	r.last = e.Verdict
	if errors.Is(err, smtpserver.ErrDiscard) && !errors.Is(err, smtpserver.ErrClose) {
		r.discard = true
		r.all = r.all || s.Message() == nil
		if c.event == endOfData {
			a.tell(s, r, Discarded)
		}
		return
	}
	if c.event != rcpt { // at all others a refusal ends the message
		a.tell(s, r, Refused)
	}
}

// Handler returns h, listened to. With it, the trail of an accepted message is
// told at once, and otherwise when the session goes on or ends.
func (a *Audit) Handler(h smtpserver.Handler) smtpserver.Handler {
	c := a.counter("handler", "receive")
	return smtpserver.HandlerFunc(func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) (string, error) {
		began := time.Now()
		text, err := h.Receive(ctx, s, m)
		took := time.Since(began)
		c.add(took, err)
		if a.listens() {
			a.note(s, Entry{Event: c.event, Agent: c.agent, Verdict: verdict(err), Took: took})
			o := Accepted
			if err != nil && !someTaken(s, err) {
				o = Refused
			}
			a.tell(s, a.record(s), o)
		}
		return text, err
	})
}

// someTaken says whether, with LMTP, the Handler took the message over for
// some of the recipients.
func someTaken(s *smtpserver.Session, err error) bool {
	var each smtpserver.RecipientErrors
	return s.Server().LMTP && errors.As(err, &each) && slices.Contains(each, nil)
}

// listener is an agent that hears what no other agent says.
func (a *Audit) listener() smtpserver.Agent {
	return smtpserver.Agent{
		Name: "audit",
		Reject: func(_ context.Context, s *smtpserver.Session, e *smtp.SMTPError) {
			r := a.record(s)
			// Refusals of agents and the Handler are noted already, those of
			// the server itself are not.
			if v := reply(e); a.listens() && s.Message() != nil && s.Message() == r.message && v != r.last {
				a.note(s, Entry{Event: "refusal", Agent: "server", Verdict: v})
			}
		},
		Disconnect: func(_ context.Context, s *smtpserver.Session) {
			if a.listens() {
				a.tell(s, a.record(s), Unsent)
			}
		},
	}
}
