package policy

import (
	"context"
	"net"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Holder keeps mail until a client requests it; *routing.Router is one. In
// its methods, identity is the authenticated identity of the client, or empty;
// the last parameter is the argument of the command.
type Holder[T ReverseSession] interface {
	// ETRN starts the delivery of the mail for a node to the hosts of the node
	// (RFC 1985).
	ETRN(ctx context.Context, identity, node string) smtp.SMTPError
	// ATRN prepares the delivery of the mail for domains over the connection of
	// the client (RFC 2645). If the reply has the code 250, the second result
	// is the session that sends this mail.
	ATRN(identity, domains string) (smtp.SMTPError, T)
}

// A ReverseSession sends mail over a connection after ATRN has reversed it:
// the client then acts as the server. *routing.ReverseSession is one.
type ReverseSession interface {
	Serve(ctx context.Context, conn net.Conn) error
}

// HeldMail returns an agent that lets clients request held mail. It passes the
// commands ETRN and ATRN to the Holder, which decides whether the client may
// get the mail. After a successful ATRN it reverses the connection. The obsolete TURN
// of an authenticated client is ATRN for all its domains. Add it to the application's
// own agents:
//
//	srv.Agents = []smtpserver.Agent{policy.HeldMail(router)}
//	err := gate.Install(srv)
//
// The end of a reversed connection is logged to the server's Logger. If the
// ReverseSession has a method Delivered, the line has the number of messages
// that the client accepted.
func HeldMail[T ReverseSession](h Holder[T]) smtpserver.Agent {
	return smtpserver.Agent{Name: "held mail",
		Keywords: func(s *smtpserver.Session) []string {
			if s.Identity() == "" { // RFC 2645, 5.2.1: no ATRN without authentication
				return []string{"ETRN"}
			}
			return []string{"ETRN", "ATRN", "TURN"}
		},
		Help: func(s *smtpserver.Session) []string {
			if s.Identity() == "" {
				return []string{"ETRN node"}
			}
			return []string{"ETRN node", "ATRN [domain,...]", "TURN"}
		},
		Command: func(ctx context.Context, s *smtpserver.Session, verb, arg string) (*smtpserver.Reply, error) {
			switch verb {
			case "ETRN":
				return replyOf(h.ETRN(ctx, s.Identity(), arg)), nil
			case "ATRN":
				return reverse(h, s, arg), nil
			case "TURN":
				return turn(h, s, arg), nil
			}
			return nil, nil
		}}
}

// reverse answers ATRN.
func reverse[T ReverseSession](h Holder[T], s *smtpserver.Session, domains string) *smtpserver.Reply {
	answer, session := h.ATRN(s.Identity(), domains)
	reply := replyOf(answer)
	if answer.Code == 250 {
		reply.Takeover = func(ctx context.Context, conn net.Conn) { runReverse(ctx, s, session, conn) }
	}
	return reply
}

// turn answers TURN (RFC 821, 3.8), which gives the client all its mail. TURN itself
// has no authentication, so anyone could get the mail of others by their HELO names
// (RFC 1985, 2); only an account may use it. The refusal is 502, the only one that
// RFC 821 has for TURN.
func turn[T ReverseSession](h Holder[T], s *smtpserver.Session, arg string) *smtpserver.Reply {
	switch {
	case arg != "":
		return replyOf(smtp.SMTPError{Code: 501, EnhancedCode: smtp.EnhancedCode{5, 5, 4}, Message: "TURN takes no argument"})
	case s.Identity() == "":
		return replyOf(smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Authentication required"})
	}
	reply := reverse(h, s, "")
	if reply.Takeover == nil && reply.Code/100 == 4 {
		return replyOf(smtp.SMTPError{Code: 502, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "TURN request refused"})
	}
	return reply
}

func replyOf(e smtp.SMTPError) *smtpserver.Reply {
	return &smtpserver.Reply{Code: e.Code, EnhancedCode: e.EnhancedCode, Lines: []string{e.Message}}
}

func runReverse(ctx context.Context, s *smtpserver.Session, reverse ReverseSession, conn net.Conn) {
	err := reverse.Serve(ctx, conn)
	log := s.Server().Logger
	if log == nil {
		return
	}
	attrs := []any{"session", s.ID(), "identity", s.Identity()}
	if counts, ok := any(reverse).(interface{ Delivered() int }); ok {
		attrs = append(attrs, "messages", counts.Delivered())
	}
	log.Info("reversed connection ended", append(attrs, "err", err)...)
}
