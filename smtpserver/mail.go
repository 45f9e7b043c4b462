package smtpserver

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/chars"
	"github.com/bridgehead-mail/bridgehead/internal/live"
)

// cmdMAIL starts a transaction (RFC 5321, 4.1.1.2).
func (s *Session) cmdMAIL(arg string) error {
	s.uncounted = 0
	before := s.errors
	err := s.openTransaction(arg)
	s.path = ""
	if s.state != mail {
		s.noteRefusedMail(before)
	}
	return err
}

func (s *Session) openTransaction(arg string) error {
	if s.messages >= s.lim.SessionMessages {
		return s.fail(refusal(452, 4, 5, 3, "Too many messages in this session")) // RFC 9422, 4.1
	}
	path, ok := cutWord(arg, "FROM:")
	if !ok {
		return s.syntax("Syntax: MAIL FROM:<address>")
	}
	from, rest, err := addr.Syntax{SMTPUTF8: s.srv.has(ExtSMTPUTF8), DefaultDomain: s.srv.DefaultDomain}.ReversePath(path)
	if err != nil {
		return s.badPath(err, smtp.EnhancedCode{5, 1, 7}, s.protocolError)
	}
	s.path = from
	msg := &Message{From: from}
	if done, err := s.mailParams(msg, rest); done {
		return err
	}
	if !msg.Options.UTF8 && !chars.ASCII(from) {
		return s.fail(refusal(553, 5, 6, 7, "Address is not ASCII, but MAIL has no SMTPUTF8 parameter"))
	}
	if v := s.rateMessage(); v != nil {
		s.refuse(v)
		return nil
	}
	s.messages++
	var id [32]byte
	msg.ID = string(strconv.AppendInt(append(append(id[:0], s.entry.ID()...), '.'), int64(s.messages), 10))
	s.msg, s.discarding = msg, s.discardAll
	s.show(live.StateMail, time.Time{})
	ok, err = s.pass(s.ask(func(a *Agent) error {
		if a.Mail == nil {
			return nil
		}
		return a.Mail(s.ctx, s, from, &msg.Options.MailOptions)
	}))
	if !ok {
		s.reset()
		return err
	}
	s.state = mail
	s.reply(250, smtp.EnhancedCode{2, 1, 0}, "Ok")
	return nil
}

// cmdRCPT adds a recipient (RFC 5321, 4.1.1.3).
func (s *Session) cmdRCPT(arg string) error {
	s.adding = true
	err := s.addRecipient(arg)
	s.adding, s.path = false, ""
	return err
}

func (s *Session) addRecipient(arg string) error {
	path, ok := cutWord(arg, "TO:")
	if !ok {
		return s.recipientError(501, smtp.EnhancedCode{5, 5, 4}, "Syntax: RCPT TO:<address>")
	}
	if len(s.msg.Recipients) >= s.lim.Recipients {
		return s.fail(refusal(452, 4, 5, 3, "Too many recipients")) // RFC 5321, 4.5.3.1.10
	}
	to, rest, err := addr.Syntax{SMTPUTF8: s.msg.Options.UTF8, DefaultDomain: s.srv.DefaultDomain}.ForwardPath(path)
	if err != nil {
		s.refusedTo = true
		return s.badPath(err, smtp.EnhancedCode{5, 1, 3}, s.recipientError)
	}
	s.path = to
	if s.rcpt == nil {
		s.rcpt = new(Recipient)
	}
	r := s.rcpt
	*r = Recipient{Addr: to}
	r.Options.DeliverBy, r.Options.MTPriority = s.msg.deliverBy, s.msg.priority
	if done, err := s.rcptParams(r, rest); done {
		s.refusedTo = true
		return err
	}
	if v := s.rateRecipient(); v != nil {
		s.refusedTo, v.to = true, to
		s.refuse(v)
		return nil
	}
	s.show(live.StateRcpt, time.Time{})
	v := s.ask(func(a *Agent) error {
		if a.Rcpt == nil {
			return nil
		}
		return a.Rcpt(s.ctx, s, to, &r.Options.RcptOptions)
	})
	if v != nil && !v.discard {
		s.refusedTo, v.to = true, to
		return s.refuseRecipient(v)
	}
	if v != nil {
		s.discard(v.by)
	}
	s.msg.Recipients = append(s.msg.Recipients, *r)
	s.accepted++
	s.state = rcpt
	s.show(live.StateRcpt, time.Time{})
	s.reply(250, smtp.EnhancedCode{2, 1, 5}, "Ok")
	return nil
}

// refuseRecipient refuses a recipient. It first slows down and then stops
// clients that try addresses to find out which ones exist.
func (s *Session) refuseRecipient(v *verdict) error {
	if v.reply.EnhancedCode == (smtp.EnhancedCode{5, 1, 1}) {
		s.unknown++
		if s.unknown > s.lim.UnknownRecipients {
			if err := s.tarpit(); err != nil {
				return err
			}
		}
	}
	s.refuse(v)
	switch {
	case v.close:
		return errClosing
	case s.unknown >= 2*s.lim.UnknownRecipients:
		return s.bye(421, smtp.EnhancedCode{4, 7, 0}, "Too many unknown recipients")
	}
	return nil
}

func (s *Session) syntax(text string) error {
	return s.protocolError(501, smtp.EnhancedCode{5, 5, 4}, text)
}

// badPath replies to an address with bad syntax.
func (s *Session) badPath(err error, ec smtp.EnhancedCode, reply errorReply) error {
	if errors.Is(err, addr.ErrNonASCII) {
		return s.fail(refusal(553, 5, 6, 7, "Address is not ASCII, but MAIL has no SMTPUTF8 parameter")) // RFC 6531, 3.5
	}
	return reply(501, ec, fmt.Sprintf("Bad address syntax: %s", err))
}
