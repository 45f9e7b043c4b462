package smtpserver

import (
	"errors"
	"log/slog"
	"strconv"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/site"
)

// A verdict is the decision of an agent, the Handler or the server to refuse an
// event or to discard a message.
type verdict struct {
	reply   *smtp.SMTPError // the refusal; nil if discard is set
	by      string          // agent, "handler", or the part of the server
	to      string          // the refused recipient, if it is about one
	id      string          // of the message that is refused, if there is no transaction any more
	from    string          // its reverse-path
	cause   error           // the error, for the log
	detail  error           // the agent's error that wraps the reply, for the log
	close   bool            // 421 or reply, then close
	discard bool            // accept and drop
}

// ask calls event for all agents in order. It returns nil if all agents accept.
func (s *Session) ask(event func(*Agent) error) *verdict {
	for i := range s.srv.Agents {
		a := &s.srv.Agents[i]
		s.entry.SetWaiting(&a.Name)
		err := event(a)
		if err == nil {
			continue
		}
		s.entry.SetWaiting(nil)
		if log := s.debug(site.PartPolicy); log != nil {
			log.Debug("agent decided", slog.String("agent", a.Name), slog.String("verdict", decision(err)), slog.String("path", s.path))
		}
		if errors.Is(err, ErrAccept) {
			return nil
		}
		return verdictOf(err, a.Name)
	}
	s.entry.SetWaiting(nil)
	return nil
}

// decision returns the text of an agent's error for the log.
func decision(err error) string {
	var e *smtp.SMTPError
	switch {
	case errors.As(err, &e):
		return strconv.Itoa(e.Code) + " " + e.Message
	case errors.Is(err, ErrAccept):
		return "accept"
	case errors.Is(err, ErrClose):
		return "close"
	case errors.Is(err, ErrDiscard):
		return "discard"
	}
	return "error: " + err.Error()
}

// verdictOf converts an error of an agent or the Handler to a verdict.
func verdictOf(err error, by string) *verdict {
	v := &verdict{by: by, close: errors.Is(err, ErrClose)}
	if errors.Is(err, ErrDiscard) && !v.close {
		v.discard = true
		return v
	}
	var e *smtp.SMTPError
	switch {
	case errors.As(err, &e):
		v.reply = wellFormed(e)
		if err != error(e) {
			v.detail = err
		}
	case v.close:
		v.reply = refusal(421, 4, 3, 2, "Closing the connection")
	default:
		v.reply = refusal(451, 4, 3, 0, "Local error, try again later")
		v.cause = err
	}
	return v
}

// pass carries out a verdict on a command. ok reports whether the command
// continues. err is not nil if the session ends.
func (s *Session) pass(v *verdict) (ok bool, err error) {
	switch {
	case v == nil:
		return true, nil
	case v.discard:
		s.discard(v.by)
		return true, nil
	}
	s.refuse(v)
	if v.close {
		return false, errClosing
	}
	return false, nil
}

// discard marks the current transaction to be discarded. Outside a transaction
// it marks all later messages of the session.
func (s *Session) discard(by string) {
	s.discardBy = by
	if s.msg == nil {
		s.discardAll = true
		return
	}
	s.discarding = true
}

// refuse replies with a refusal, counts it, logs it, and calls Agent.Reject.
func (s *Session) refuse(v *verdict) {
	s.noteRefusal(v)
	s.reply(v.reply.Code, v.reply.EnhancedCode, v.reply.Message)
}

func (s *Session) noteRefusal(v *verdict) {
	s.srv.counters.refusals.Add(v.by, 1)
	if s.srv.Logger != nil {
		attrs := []any{slog.String("by", v.by), slog.Int("code", v.reply.Code), slog.String("reply", v.reply.Message)}
		if s.msg != nil {
			attrs = append(attrs, slog.String("from", s.msg.From))
			if n := len(s.msg.Recipients); v.to != "" {
				attrs = append(attrs, slog.String("to", v.to))
			} else if n > 0 { // the first and the number, as in the log of the queue
				attrs = append(attrs, slog.String("to", s.msg.Recipients[0].Addr), slog.Int("recipients", n))
			}
		}
		level := slog.LevelInfo
		if v.detail != nil {
			attrs = append(attrs, slog.Any("error", v.detail))
		}
		if v.cause != nil {
			attrs = append(attrs, slog.Any("error", v.cause))
			level = slog.LevelError
		}
		s.log(level, "refused", attrs...)
	}
	for i := range s.srv.Agents {
		if a := &s.srv.Agents[i]; a.Reject != nil {
			s.entry.SetWaiting(&a.Name)
			a.Reject(s.ctx, s, v.reply)
		}
	}
	s.entry.SetWaiting(nil)
	s.observeRefusal(v)
}

// callReset calls Reset of all agents.
func (s *Session) callReset() {
	for i := range s.srv.Agents {
		if a := &s.srv.Agents[i]; a.Reset != nil {
			s.entry.SetWaiting(&a.Name)
			a.Reset(s.ctx, s)
		}
	}
	s.entry.SetWaiting(nil)
}
