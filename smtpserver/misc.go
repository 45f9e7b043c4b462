package smtpserver

import (
	"bytes"
	"context"
	"net"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/live"
)

func (s *Session) cmdRSET(arg string) error {
	if arg != "" {
		return s.noArgument("RSET")
	}
	s.reset()
	s.reply(250, smtp.EnhancedCode{2, 0, 0}, "Ok")
	return nil
}

func (s *Session) cmdNOOP(arg string) error { // RFC 5321, 4.1.1.9: any argument is ignored
	if done, err := s.askCommand("NOOP", arg); done {
		return err
	}
	s.reply(250, smtp.EnhancedCode{2, 0, 0}, "Ok")
	return nil
}

func (s *Session) cmdQUIT(arg string) error {
	if arg != "" {
		return s.noArgument("QUIT")
	}
	s.reply(221, smtp.EnhancedCode{2, 0, 0}, "Bye")
	s.show(live.StateQuit, time.Time{})
	return errQuit
}

func (s *Session) noArgument(verb string) error {
	return s.protocolError(501, smtp.EnhancedCode{5, 5, 4}, verb+" takes no argument")
}

// cmdVRFY does not reveal which mailboxes exist, unless an agent does (RFC
// 5321, 7.3).
func (s *Session) cmdVRFY(arg string) error {
	if arg == "" {
		return s.protocolError(501, smtp.EnhancedCode{5, 5, 4}, "Syntax: VRFY address")
	}
	if done, err := s.askCommand("VRFY", arg); done {
		return err
	}
	s.reply(252, smtp.EnhancedCode{2, 5, 0}, "Cannot verify, but will accept mail and attempt delivery")
	return nil
}

func (s *Session) cmdEXPN(arg string) error {
	if done, err := s.askCommand("EXPN", arg); done {
		return err
	}
	return s.notImplemented("EXPN")
}

// otherCommand handles commands that the server does not implement.
func (s *Session) otherCommand(verb, arg string) error {
	if verb != "" {
		if done, err := s.askCommand(verb, arg); done {
			return err
		}
	}
	switch verb {
	case "SEND", "SOML", "SAML", "TURN", "ETRN", "ATRN":
		return s.notImplemented(verb)
	case "":
		return s.protocolError(500, smtp.EnhancedCode{5, 5, 2}, "Empty command")
	}
	return s.protocolError(500, smtp.EnhancedCode{5, 5, 2}, "Command unknown")
}

func (s *Session) notImplemented(verb string) error {
	return s.protocolError(502, smtp.EnhancedCode{5, 5, 1}, verb+" is not implemented")
}

// askCommand calls Command of the agents until one returns a reply. done is
// false if none does.
func (s *Session) askCommand(verb, arg string) (done bool, err error) {
	var r *Reply
	v := s.ask(func(a *Agent) (err error) {
		if a.Command == nil || r != nil {
			return nil
		}
		r, err = a.Command(s.ctx, s, verb, arg)
		return err
	})
	switch {
	case v != nil && !v.discard:
		s.refuse(v)
		if v.close {
			return true, errClosing
		}
		return true, nil
	case r == nil:
		return false, nil
	}
	text := strings.Join(r.Lines, "\n")
	if r.Code >= 400 {
		s.refuse(&verdict{reply: wellFormed(&smtp.SMTPError{Code: r.Code, EnhancedCode: r.EnhancedCode, Message: text}), by: "command"})
		return true, nil
	}
	s.reply(r.Code, r.EnhancedCode, text)
	if r.Takeover != nil {
		return true, s.takeover(r.Takeover)
	}
	return true, nil
}

// takeover gives the connection to an agent, as for ATRN, and ends the session
// when the agent returns.
func (s *Session) takeover(takeover func(context.Context, net.Conn)) error {
	if err := s.flush(); err != nil {
		return err
	}
	unread := bytes.Clone(s.in.buffered())
	s.in.drop()
	if err := s.conn.SetDeadline(time.Time{}); err != nil {
		return err
	}
	if !s.beginComplete() {
		return errClosing
	}
	s.show(live.StateTaken, time.Time{})
	takeover(s.ctx, &takenConn{Conn: s.conn, unread: unread})
	return errTaken
}

// takenConn is a connection with input that was already read.
type takenConn struct {
	net.Conn
	unread []byte
}

func (c *takenConn) Read(b []byte) (int, error) {
	if len(c.unread) > 0 {
		n := copy(b, c.unread)
		c.unread = c.unread[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}
