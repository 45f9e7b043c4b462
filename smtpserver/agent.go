package smtpserver

import (
	"context"
	"errors"

	"github.com/emersion/go-smtp"
)

// An Agent is a named set of optional functions, one for each event of a
// session. The server skips fields that are nil. It calls the agents of a
// Server in order, on the goroutine of the session. An agent therefore needs
// locks only for data that it shares between sessions.
//
// The result of a function decides how the session continues:
//
//   - nil: the server calls the next agent. The command succeeds if all agents
//     return nil.
//   - a *smtp.SMTPError, also a wrapped one: the server sends it as the reply.
//     [Reject] makes one.
//   - [ErrAccept]: the command succeeds, and the server calls no further
//     agents.
//   - [ErrDiscard]: the server accepts the message and then drops it without
//     calling the Handler. If Connect, Helo or Auth returns it, this applies to
//     all messages of the session.
//   - [ErrClose]: the server replies 421 and closes the connection. To choose
//     the reply, wrap ErrClose together with an SMTPError, as in
//     fmt.Errorf("%w: %w", ErrClose, e).
//   - any other error: the server logs it and replies 451 4.3.0.
//
// If a function panics, the server ends the session with 421. Other sessions
// continue.
//
// The events from Connect to EndOfData come in the order of the fields. The
// context ends when the session ends.
type Agent struct {
	// Name appears in logs, traces and counters.
	Name string

	// Inherit, if set, gets the settings that all parts of a relay share. It is
	// called before the server serves (see Server.Inherit). The agent keeps its
	// own values, and uses these for the settings that are not set. Servers may
	// share an agent, so Inherit may be called again, also while the agent is
	// in use. It must then change nothing.
	Inherit func(Defaults)

	// Connect is called before the banner. If it refuses, its reply (554 or
	// 421) replaces the banner (RFC 5321, 3.1).
	Connect func(ctx context.Context, s *Session) error
	// Helo is called at HELO, EHLO and LHLO. name is not encoded. To write the
	// name to a log or a header, use Session.Helo.
	Helo func(ctx context.Context, s *Session, name string) error
	// StartTLS is called at STARTTLS, before the handshake.
	StartTLS func(ctx context.Context, s *Session) error
	// Auth is called when a client has authenticated (Session.Identity).
	Auth func(ctx context.Context, s *Session) error
	// Mail is called at MAIL. from is empty for the null reverse-path. Mail may
	// change opts.
	Mail func(ctx context.Context, s *Session, from string, opts *smtp.MailOptions) error
	// Rcpt is called at each RCPT. It may change opts.
	Rcpt func(ctx context.Context, s *Session, to string, opts *smtp.RcptOptions) error
	// Data is called at DATA or the first BDAT, before the reply.
	Data func(ctx context.Context, s *Session) error
	// EndOfHeaders is called when the header is complete and the body is not
	// yet read: m.Body is nil. EndOfHeaders may change m.Header.
	EndOfHeaders func(ctx context.Context, s *Session, m *Message) error
	// EndOfData is called when the whole message has been received, before the
	// Handler. It may change the envelope, the header and the body.
	EndOfData func(ctx context.Context, s *Session, m *Message) error
	// Reset is called whenever a transaction ends: after the reply to the
	// message, at RSET or EHLO, when MAIL is refused, or when the connection
	// ends.
	Reset func(ctx context.Context, s *Session)
	// Command is called for VRFY, EXPN, HELP and NOOP, and for every command
	// that the server does not know, such as ETRN and ATRN. The server sends
	// the first Reply that is not nil. If no agent replies to HELP, the server
	// lists the commands that the session offers.
	Command func(ctx context.Context, s *Session, verb, arg string) (*Reply, error)
	// Keywords returns lines to add to the EHLO reply.
	Keywords func(s *Session) []string
	// Help returns the syntax of each command that Command answers in this
	// session, such as "ETRN domain". The reply to HELP lists the commands, and
	// the reply to "HELP ETRN" has the syntax.
	Help func(s *Session) []string
	// MailParams and RcptParams are the parameters of MAIL and RCPT, in upper
	// case, that the agent understands. Their values are in Session.Params when
	// Mail and Rcpt are called, and later in the Message.
	MailParams, RcptParams []string

	// Reject is called for every refusal: by this agent, by another agent, by
	// the Handler, or by the server. It cannot change the refusal.
	Reject func(ctx context.Context, s *Session, r *smtp.SMTPError)
	// Disconnect is called last, once for each Connect. At XCLIENT
	// (Server.XClientFrom), the server calls Disconnect for the front end and
	// then Connect for the client of the front end.
	Disconnect func(ctx context.Context, s *Session)
}

// Errors that the functions of an [Agent] return to control the session.
var (
	ErrAccept  = errors.New("smtpserver: accept without calling further agents")
	ErrDiscard = errors.New("smtpserver: accept and discard")
	ErrClose   = errors.New("smtpserver: close the connection")
)
