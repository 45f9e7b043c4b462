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

// An Audit records the decisions of the agents and the Handler of one or more
// servers. It is safe for concurrent use; its fields must not change after the
// first use.
type Audit struct {
	// Sink is called with the trail of each message when its outcome is known. It
	// runs on the goroutine of the session and must return quickly. The sessions
	// of a server call it concurrently. If Sink and Logger are nil, only the
	// counters are kept.
	Sink func(*Trail)
	// Logger receives one line at level Info for each message. If it is nil,
	// nothing is logged. A gateway.Gateway does not set it.
	Logger *slog.Logger
	// MaxEntries is the maximum number of entries in a trail. Default: 1000. At
	// most a quarter of them can be entries from before the first message.
	// After three quarters, no more entries about recipients are added, so that
	// there is space for the entries about the content.
	MaxEntries int

	mu       sync.Mutex // guards the slice counters, but not the elements
	counters []*counter
}

// key is the key of a session's record.
type key struct{ a *Audit }

// record has the entries of a session. Only the goroutine of the session uses it.
type record struct {
	session []Entry // entries before the first message
	lost    int     // number of such entries that were dropped
	message *smtpserver.Message
	entries []Entry
	dropped int
	last    string // the last refusal, to avoid a second entry for it
	discard bool   // the message will be discarded
	all     bool   // all messages of the session will be discarded
}

func (a *Audit) record(s *smtpserver.Session) *record {
	r, _ := s.Value(key{a}).(*record)
	if r == nil {
		r = new(record)
		s.SetValue(key{a}, r)
	}
	return r
}

// records reports whether trails are recorded.
func (a *Audit) records() bool { return a.Sink != nil || a.Logger != nil }

// note adds an entry to the current message, or to the session if there is none.
func (a *Audit) note(s *smtpserver.Session, e Entry) {
	r := a.record(s)
	most := a.MaxEntries
	if most <= 0 {
		most = 1000
	}
	if m := s.Message(); m != r.message {
		a.finish(s, r, Incomplete) // the previous message was not completed
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

// maxText is the maximum length of each text of an entry.
const maxText = 1000

// finish passes the trail of the current message to Sink and Logger, and resets
// the record.
func (a *Audit) finish(s *smtpserver.Session, r *record, o Outcome) {
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

// after records the decision of an agent. It finishes the trail if the decision
// ends the message.
func (a *Audit) after(s *smtpserver.Session, c *counter, about string, took time.Duration, err error) {
	c.add(took, err)
	if !a.records() {
		return
	}
	e := Entry{Event: c.event, Agent: c.agent, Verdict: verdict(err), About: about, Duration: took}
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
			a.finish(s, r, Discarded)
		}
		return
	}
	if c.event != rcpt { // a refusal at any other event ends the message
		a.finish(s, r, Refused)
	}
}

// Handler returns a Handler that calls h and records its decision. With it, the
// trail of an accepted message is complete when h returns. Without it, the trail
// is complete when the next message begins or the session ends, and its outcome
// is Incomplete.
func (a *Audit) Handler(h smtpserver.Handler) smtpserver.Handler {
	c := a.counter("handler", "receive")
	return smtpserver.HandlerFunc(func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) (string, error) {
		began := time.Now()
		text, err := h.Receive(ctx, s, m)
		took := time.Since(began)
		c.add(took, err)
		if a.records() {
			a.note(s, Entry{Event: c.event, Agent: c.agent, Verdict: verdict(err), Duration: took})
			o := Accepted
			if err != nil && !someAccepted(s, err) {
				o = Refused
			}
			a.finish(s, a.record(s), o)
		}
		return text, err
	})
}

// someAccepted reports whether, with LMTP, the Handler accepted the message for at
// least one recipient.
func someAccepted(s *smtpserver.Session, err error) bool {
	var each smtpserver.RecipientErrors
	return s.Server().LMTP && errors.As(err, &each) && slices.Contains(each, nil)
}

// observer returns an agent that records what the other agents do not see: replies
// of the server itself, and the end of the session.
func (a *Audit) observer() smtpserver.Agent {
	return smtpserver.Agent{
		Name: "audit",
		Reject: func(_ context.Context, s *smtpserver.Session, e *smtp.SMTPError) {
			r := a.record(s)
			// Refusals of agents and the Handler already have an entry. Refusals
			// of the server itself have none.
			if v := reply(e); a.records() && s.Message() != nil && s.Message() == r.message && v != r.last {
				a.note(s, Entry{Event: "refusal", Agent: "server", Verdict: v})
			}
		},
		Disconnect: func(_ context.Context, s *smtpserver.Session) {
			if a.records() {
				a.finish(s, a.record(s), Incomplete)
			}
		},
	}
}
