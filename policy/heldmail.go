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
// get the mail. After a successful ATRN it reverses the connection. Add it to
// the application's own agents:
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
			return []string{"ETRN", "ATRN"}
		},
		Help: func(s *smtpserver.Session) []string {
			if s.Identity() == "" {
				return []string{"ETRN node"}
			}
			return []string{"ETRN node", "ATRN [domain,...]"}
		},
		Command: func(ctx context.Context, s *smtpserver.Session, verb, arg string) (*smtpserver.Reply, error) {
			switch verb {
			case "ETRN":
				return replyOf(h.ETRN(ctx, s.Identity(), arg)), nil
			case "ATRN":
				answer, reverse := h.ATRN(s.Identity(), arg)
				reply := replyOf(answer)
				if answer.Code == 250 {
					reply.Takeover = func(ctx context.Context, conn net.Conn) { runReverse(ctx, s, reverse, conn) }
				}
				return reply, nil
			}
			return nil, nil
		}}
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
