package smtpserver

import (
	"errors"
	"log/slog"

	"github.com/emersion/go-smtp"
)

// A verdict is what an agent, the Handler or the server itself decided about
// an event, other than to let it pass.
type verdict struct {
	reply   *smtp.SMTPError // the refusal; nil where discard is all
	by      string          // agent, "handler", or the part of the server
	to      string          // the recipient that is refused, where it is one
	cause   error           // what went wrong, for the log
	detail  error           // the agent's error that the reply was wrapped in, likewise
	close   bool            // 421 or reply, then close
	discard bool            // accept and drop
}

// ask puts an event to all agents in order. nil means that none objects.
func (s *Session) ask(event func(*Agent) error) *verdict {
	for i := range s.srv.Agents {
		a := &s.srv.Agents[i]
		s.asking = a.Name
		err := event(a)
		if err == nil {
			continue
		}
		s.asking = ""
		if errors.Is(err, ErrAccept) {
			return nil
		}
		return judge(err, a.Name)
	}
	s.asking = ""
	return nil
}

// judge reads the error of an agent or the Handler.
func judge(err error, by string) *verdict {
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

// pass carries out a verdict on a command. It returns whether the command is
// to go on, and the error that ends the session, if it is to end.
func (s *Session) pass(v *verdict) (bool, error) {
	switch {
	case v == nil:
		return true, nil
	case v.discard:
		s.discard()
		return true, nil
	}
	s.refuse(v)
	if v.close {
		return false, errClosing
	}
	return false, nil
}

// discard has the transaction dropped in the end; outside of one, all that
// the session brings.
func (s *Session) discard() {
	if s.msg == nil {
		s.discardAll = true
		return
	}
	s.discarding = true
}

// refuse replies with a refusal, and lets counters, log and agents know.
func (s *Session) refuse(v *verdict) {
	s.noteRefusal(v)
	s.reply(v.reply.Code, v.reply.EnhancedCode, v.reply.Message)
}

func (s *Session) noteRefusal(v *verdict) {
	s.srv.counters.refused(v.by)
	if s.srv.Logger != nil {
		attrs := []any{slog.String("by", v.by), slog.Int("code", v.reply.Code), slog.String("reply", v.reply.Message)}
		if s.msg != nil {
			attrs = append(attrs, slog.String("from", s.msg.From))
			if n := len(s.msg.Recipients); v.to != "" {
				attrs = append(attrs, slog.String("to", v.to))
			} else if n > 0 { // as the queue has it: the first, and their number
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
			s.asking = a.Name
			a.Reject(s.ctx, s, v.reply)
		}
	}
	s.asking = ""
}

// tellReset lets the agents know that the transaction ends.
func (s *Session) tellReset() {
	for i := range s.srv.Agents {
		if a := &s.srv.Agents[i]; a.Reset != nil {
			s.asking = a.Name
			a.Reset(s.ctx, s)
		}
	}
	s.asking = ""
}
