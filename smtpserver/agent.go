package smtpserver

import (
	"context"
	"errors"

	"github.com/emersion/go-smtp"
)

// An Agent is a named set of optional functions, one for each event of a
// session. Fields that are nil take no part. The agents of a Server are asked
// in order; all of them are called on the session's own goroutine, so an
// agent needs locks only for what it shares between sessions.
//
// A function's result decides how the session goes on:
//
//   - nil lets the next agent speak; when none objects, the command succeeds;
//   - a *smtp.SMTPError, also a wrapped one, becomes the reply;
//   - [ErrAccept] ends the event with success, without asking further agents;
//   - [ErrDiscard] accepts the message for the client and then drops it: the
//     Handler never sees it. From Connect, Helo or Auth it goes for all
//     messages of the session;
//   - [ErrClose] replies 421 and closes the connection; wrap it together with
//     an SMTPError, as in fmt.Errorf("%w: %w", ErrClose, e), for a reply of
//     your own;
//   - any other error is logged and replied to with 451 4.3.0.
//
// A function that panics costs its own session a 421; the server goes on.
//
// The events come in the order of the fields. The context ends when the
// session does.
type Agent struct {
	// Name appears in logs, traces and counters.
	Name string

	// Connect comes before the banner. A refusal's text becomes the banner
	// (554 or 421), as RFC 5321, 3.1 has it.
	Connect func(ctx context.Context, s *Session) error
	// Helo comes at HELO, EHLO and LHLO. The name is as received; to write it,
	// use Session.Helo.
	Helo func(ctx context.Context, s *Session, name string) error
	// StartTLS comes at STARTTLS, before the handshake.
	StartTLS func(ctx context.Context, s *Session) error
	// Auth comes when a client has proved who it is (Session.Identity).
	Auth func(ctx context.Context, s *Session) error
	// Mail comes at MAIL; from is empty for the null reverse-path. It may
	// change opts.
	Mail func(ctx context.Context, s *Session, from string, opts *smtp.MailOptions) error
	// Rcpt comes at each RCPT. It may change opts.
	Rcpt func(ctx context.Context, s *Session, to string, opts *smtp.RcptOptions) error
	// Data comes at DATA or the first BDAT, before the client may send.
	Data func(ctx context.Context, s *Session) error
	// EndOfHeaders comes when the header is complete, before the body is read.
	// The body is not yet there; m.Header may be read and changed.
	EndOfHeaders func(ctx context.Context, s *Session, m *Message) error
	// EndOfData comes when all of the message is there, before the Handler.
	// Envelope, header and body may be read and changed.
	EndOfData func(ctx context.Context, s *Session, m *Message) error
	// Reset comes when a transaction ends, in whatever way: after the reply to
	// the message, at RSET or EHLO, when MAIL was refused or the client went.
	Reset func(ctx context.Context, s *Session)
	// Command comes for every verb that the server has no answer of its own
	// to (VRFY, EXPN, HELP, NOOP, ETRN, ATRN and whatever an application
	// adds). The first non-nil Reply is sent.
	Command func(ctx context.Context, s *Session, verb, arg string) (*Reply, error)
	// Keywords are lines that the agent adds to the EHLO reply.
	Keywords func(s *Session) []string
	// MailParams and RcptParams name parameters of MAIL and RCPT, in upper
	// case, that the agent understands. Their values are in Session.Params
	// when Mail and Rcpt come, and in the Message afterwards.
	MailParams, RcptParams []string

	// Reject watches every refusal, whoever made it. It cannot change it.
	Reject func(ctx context.Context, s *Session, r *smtp.SMTPError)
	// Disconnect comes last, once for each Connect. XCLIENT ends the session of
	// the front end for agents, and begins one of its client.
	Disconnect func(ctx context.Context, s *Session)
}

// Results by which an Agent's function steers the session; see [Agent].
var (
	ErrAccept  = errors.New("smtpserver: accept without asking further agents")
	ErrDiscard = errors.New("smtpserver: accept and discard")
	ErrClose   = errors.New("smtpserver: close the connection")
)
