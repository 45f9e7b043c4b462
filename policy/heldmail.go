package policy

import (
	"context"
	"net"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Holder keeps mail until its receiver asks for it; *routing.Router is one.
// identity is who the client has proved to be, or empty; the rest is the
// command's argument.
type Holder[T Turn] interface {
	// ETRN has the mail for a node sent to the node's own hosts (RFC 1985).
	ETRN(ctx context.Context, identity, node string) smtp.SMTPError
	// ATRN has the mail for domains sent over the client's own connection
	// (RFC 2645). With code 250 there is a Turn.
	ATRN(identity, domains string) (smtp.SMTPError, T)
}

// A Turn sends mail over a connection that has turned round; *routing.ReverseSession is
// one.
type Turn interface {
	Serve(ctx context.Context, conn net.Conn) error
}

// HeldMail lets clients ask for held mail: it puts the commands ETRN and ATRN
// to the Holder, who judges whether the client may, and turns the connection
// round. It is one of an application's own agents:
//
//	srv.Agents = []smtpserver.Agent{policy.HeldMail(router)}
//	err := gate.Install(srv)
//
// How a turned connection ended goes to the server's Logger, with the number of
// messages that the client has taken, where the Turn has a method Delivered.
func HeldMail[T Turn](h Holder[T]) smtpserver.Agent {
	return smtpserver.Agent{Name: "held mail",
		Keywords: func(s *smtpserver.Session) []string {
			if s.Identity() == "" { // RFC 2645, 5.2.1: no ATRN without authentication
				return []string{"ETRN"}
			}
			return []string{"ETRN", "ATRN"}
		},
		Command: func(ctx context.Context, s *smtpserver.Session, verb, arg string) (*smtpserver.Reply, error) {
			switch verb {
			case "ETRN":
				return spoken(h.ETRN(ctx, s.Identity(), arg)), nil
			case "ATRN":
				answer, turn := h.ATRN(s.Identity(), arg)
				reply := spoken(answer)
				if answer.Code == 250 {
					reply.Takeover = func(ctx context.Context, conn net.Conn) { takeTurn(ctx, s, turn, conn) }
				}
				return reply, nil
			}
			return nil, nil
		}}
}

func spoken(e smtp.SMTPError) *smtpserver.Reply {
	return &smtpserver.Reply{Code: e.Code, EnhancedCode: e.EnhancedCode, Lines: []string{e.Message}}
}

func takeTurn(ctx context.Context, s *smtpserver.Session, turn Turn, conn net.Conn) {
	err := turn.Serve(ctx, conn)
	log := s.Server().Logger
	if log == nil {
		return
	}
	attrs := []any{"session", s.ID(), "identity", s.Identity()}
	if counts, ok := any(turn).(interface{ Delivered() int }); ok {
		attrs = append(attrs, "messages", counts.Delivered())
	}
	log.Info("turned connection ended", append(attrs, "err", err)...)
}
