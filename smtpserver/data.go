package smtpserver

import (
	"errors"
	"log/slog"
	"os"
	"strconv"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/live"
)

// cmdDATA receives a message (RFC 5321, 4.1.1.4).
func (s *Session) cmdDATA(arg string) error {
	if arg != "" {
		return s.noArgument("DATA")
	}
	if s.msg.Options.Body == smtp.BodyBinaryMIME { // RFC 3030, 3
		return s.protocolError(503, smtp.EnhancedCode{5, 5, 1}, "BODY=BINARYMIME needs BDAT")
	}
	if err := s.checkEarly("before the reply to DATA"); err != nil {
		return err
	}
	if ok, err := s.askData(); !ok {
		return err
	}
	s.reply(354, noCode, "Go ahead, end with <CRLF>.<CRLF>")
	in := s.newIntake()
	s.intake = in
	s.show(live.StateData, in.pace.began)
	in.text.dots = true
	if err := s.readData(in); err != nil {
		return err
	}
	if s.givenUp() {
		return s.endShort()
	}
	in.finish()
	if in.text.hasBare && in.refused != nil {
		// The client may have another idea of where the data ends, so what
		// follows may not be commands.
		in.refused.close = true
	}
	return s.endMessage(in)
}

// askData calls Data of the agents. A refusal ends the transaction.
func (s *Session) askData() (bool, error) {
	ok, err := s.pass(s.ask(func(a *Agent) error {
		if a.Data == nil {
			return nil
		}
		return a.Data(s.ctx, s)
	}))
	if !ok {
		s.reset()
	}
	return ok, err
}

// readData reads up to the end of data. An error before it ends the session, so
// that no part of the message is ever read as a command.
func (s *Session) readData(in *intake) error {
	for {
		if b := s.in.buffered(); len(b) > 0 {
			n, end := in.text.read(b, in)
			s.in.consume(n)
			in.pace.bytes += int64(n)
			s.credit += s.contentCredit(n)
			if err := s.overrun(in, end); end || err != nil {
				return err
			}
		}
		if err := s.waitData(&in.pace); err != nil {
			return err
		}
	}
}

// overrun ends the session if a client continues to send a message after the
// message was refused: if it is more than twice as long as the largest message.
// It also ends the session if the message exceeds Limits.SessionBytes.
func (s *Session) overrun(in *intake, end bool) error {
	if !end && in.refused != nil && in.size/2 > s.maxSize && in.refused.reply != nil {
		s.refuse(in.refused)
		return errClosing
	}
	if in.size > s.lim.SessionBytes-s.bytes {
		return s.bye(421, smtp.EnhancedCode{4, 7, 0}, "Too many bytes in this session")
	}
	return nil
}

// pace enforces the minimum data rate for a whole message, with all its chunks.
type pace struct {
	began time.Time
	bytes int64
}

func (s *Session) newPace() pace { return pace{began: time.Now()} }

// paceLeft returns how long the client may take for the next byte.
func (s *Session) paceLeft(p *pace) time.Duration {
	rate := int64(s.lim.DataRate)
	if rate == 0 {
		return forever
	}
	return s.lim.DataTimeout + time.Duration(p.bytes/rate)*time.Second - time.Since(p.began)
}

// waitData waits for the next piece of a message.
func (s *Session) waitData(p *pace) error {
	if err := s.flush(); err != nil {
		return err
	}
	if s.intake != nil {
		s.intake.pause()
	}
	d := min(s.waitAtMost(s.lim.DataTimeout), s.paceLeft(p))
	err := os.ErrDeadlineExceeded
	if d > 0 {
		now := time.Now()
		if err := s.setReadDeadline(now, d); err != nil {
			return err
		}
		s.beginWait(waitContent, now)
		if !s.givenUp() && !s.ending.Load() {
			err = s.in.fill(inputSize)
		}
		s.endWait()
	}
	switch timeout := errors.Is(err, os.ErrDeadlineExceeded); {
	case timeout && s.givenUp():
		return s.endShort()
	case timeout && s.ending.Load():
		return s.byeEnded()
	case timeout && s.tooSlow:
		return s.endSlow()
	case timeout:
		return s.bye(421, smtp.EnhancedCode{4, 4, 2}, "Timeout: the message came too slowly")
	}
	return err
}

// endMessage decides about a message that is complete, and replies.
func (s *Session) endMessage(in *intake) error {
	if !s.beginComplete() {
		return errClosing
	}
	defer s.endComplete()
	if !in.share.complete() {
		return s.endShort()
	}
	m := s.msg
	received := time.Now()
	m.Received = received
	s.show(live.StateEndOfData, received)
	s.in.rest()       // agents and Handler may take long
	if in.text.dots { // readChunk has already counted chunks
		s.bytes += in.size
	}
	s.srv.counters.bytes.Add(in.size)
	if s.traced() {
		s.traceInfo(strconv.FormatInt(in.size, 10) + " bytes of message " + m.ID)
	}
	v := in.refused
	if v != nil && v.discard {
		s.discard(v.by)
	}
	if v == nil && !s.discarding {
		v = s.ask(func(a *Agent) error {
			if a.EndOfData == nil {
				return nil
			}
			return a.EndOfData(s.ctx, s, m)
		})
	}
	o := outcome{v: v, id: m.ID}
	switch {
	case v != nil && !v.discard:
	case v != nil || s.discarding:
		if v != nil {
			s.discardBy = v.by
		}
		o.v = nil
		s.srv.counters.discarded.Add(1)
		s.log(slog.LevelInfo, "discarded", slog.String("message", m.ID), slog.String("from", m.From))
		s.observe(&Action{Kind: Discarded, By: s.discardBy})
	default:
		s.callHandler(m, in.size, &o)
		if o.v != nil && o.v.discard {
			s.observe(&Action{Kind: Discarded, By: o.v.by})
		}
	}
	if o.text == "" {
		o.text = "Ok: queued as " + o.id
	}
	s.replyMessage(&o)
	s.srv.counters.answered(&o, received, time.Now())
	s.reset()
	if o.v != nil && o.v.close {
		return errClosing
	}
	return nil
}

// outcome is the result of a message.
type outcome struct {
	id   string
	v    *verdict        // nil if the Handler accepted it
	each RecipientErrors // LMTP, if the recipients have different results
	text string          // of the 250 reply
	from string          // with each: the envelope
	to   []string
}

// callHandler calls the Handler. If the Handler accepts the message, it owns the
// message and its file, and the server must not use them afterwards.
func (s *Session) callHandler(m *Message, size int64, o *outcome) {
	if s.srv.Handler == nil {
		o.v = &verdict{reply: refusal(554, 5, 3, 2, "This server accepts no mail"), by: "handler"}
		return
	}
	from, recipients := m.From, len(m.Recipients)
	if s.srv.LMTP && s.srv.Observe != nil {
		o.from, o.to = from, m.addresses()
	}
	s.entry.SetWaiting(&handlerName)
	text, err := s.srv.Handler.Receive(s.ctx, s, m)
	s.entry.SetWaiting(nil)
	if err != nil {
		if o.each = s.recipientErrors(m, err); !o.each.some() {
			o.v = verdictOf(err, "handler")
			return
		}
	}
	o.text = text
	s.msg, s.handled = nil, true
	s.srv.counters.messages.Add(1)
	if s.srv.Logger != nil {
		s.log(slog.LevelInfo, "received", slog.String("message", o.id), slog.String("from", from),
			slog.Int("recipients", recipients), slog.Int64("size", size))
	}
}

// replyMessage replies to the end of data: once, or with LMTP once for each
// accepted recipient, in their order (RFC 2033, 4.2).
func (s *Session) replyMessage(o *outcome) {
	n := 1
	if s.srv.LMTP {
		n = s.accepted
	}
	for i := range n {
		v := o.v
		if o.each != nil && o.each[i] != nil {
			v = verdictOf(o.each[i], "handler")
			if o.to != nil {
				v.id, v.from, v.to = o.id, o.from, o.to[i]
			}
		}
		switch {
		case v == nil || v.discard:
			s.reply(250, smtp.EnhancedCode{2, 0, 0}, o.text)
		case i == 0 || o.each != nil:
			s.refuse(v)
		default: // the same refusal for another recipient
			s.reply(v.reply.Code, v.reply.EnhancedCode, v.reply.Message)
		}
	}
}
