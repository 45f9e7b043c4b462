package milter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	gomilter "github.com/emersion/go-milter"
	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/policy/internal/envelope"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Client asks one milter about every session and message. Several Clients,
// also with the same Address, may be agents of one server; one Client may be
// an agent of several servers. The fields must not change once it is in use.
type Client struct {
	// Address of the milter: "127.0.0.1:11332", or the path of a Unix socket.
	Address string
	// Name in logs and counters. Default "milter " and the address.
	Name string

	// Quarantine is the address to which mail goes that the milter wants
	// quarantined, in place of its recipients, who are named in
	// X-Quarantine-Recipient fields. If it is empty, such mail is refused with
	// 550 5.7.1.
	Quarantine string
	// PassWhenDown lets mail pass unseen when the milter cannot be asked, with
	// a warning in the log. Default: 451 4.7.1, the client tries again.
	PassWhenDown bool

	// ConnectTimeout, CommandTimeout and ContentTimeout bound the waiting for
	// the milter: to connect, for one command, for header and body as a
	// whole. Defaults 30 s, 30 s and 300 s, as Postfix has them.
	ConnectTimeout, CommandTimeout, ContentTimeout time.Duration

	// Logger hears of failures of the milter; nil is silent.
	Logger *slog.Logger

	counters struct{ sessions, messages, refused, failed, passed atomic.Int64 }
}

// Counters are what a Client has done so far.
type Counters struct {
	Sessions int64 // conversations begun
	Messages int64 // judged to their end
	Refused  int64 // commands and messages that the milter refused
	Failed   int64 // failures of the milter
	Passed   int64 // messages that passed unseen, by PassWhenDown
}

// Counters may be called at any time.
func (c *Client) Counters() Counters {
	n := &c.counters
	return Counters{n.sessions.Load(), n.messages.Load(), n.refused.Load(), n.failed.Load(), n.passed.Load()}
}

// Validate says which setting is wrong.
func (c *Client) Validate() error {
	if c.Address == "" {
		return errors.New("milter: Client.Address is not set")
	}
	if c.Quarantine != "" {
		if err := envelope.Valid(c.Quarantine); err != nil {
			return fmt.Errorf("milter: Client.Quarantine: %w", err)
		}
	}
	return nil
}

func (c *Client) network() string {
	if strings.HasPrefix(c.Address, "/") {
		return "unix"
	}
	return "tcp"
}

func orDefault(d, def time.Duration) time.Duration {
	if d <= 0 {
		return def
	}
	return d
}

// Postfix's defaults: milter_connect_timeout, milter_command_timeout,
// milter_content_timeout.
func (c *Client) connectTimeout() time.Duration { return orDefault(c.ConnectTimeout, 30*time.Second) }
func (c *Client) commandTimeout() time.Duration { return orDefault(c.CommandTimeout, 30*time.Second) }
func (c *Client) contentTimeout() time.Duration { return orDefault(c.ContentTimeout, 300*time.Second) }

// Agent asks the milter at each event. It belongs after the agents that
// decide who may send to whom, so that the milter hears only of recipients
// that were accepted, and before those that sign or add trace fields.
func (c *Client) Agent() smtpserver.Agent {
	name := c.Name
	if name == "" {
		name = "milter " + c.Address
	}
	return smtpserver.Agent{
		Name: name,
		Connect: func(ctx context.Context, s *smtpserver.Session) error {
			return c.opening(c.conversation(ctx, s))
		},
		Helo: c.onHelo,
		Mail: func(ctx context.Context, s *smtpserver.Session, _ string, _ *smtp.MailOptions) error {
			return c.onMail(ctx, s)
		},
		Rcpt: func(ctx context.Context, s *smtpserver.Session, to string, _ *smtp.RcptOptions) error {
			return c.onTransaction(ctx, s, func(v *conversation) (reply, error) { return v.rcpt(s.Message(), to) })
		},
		Data: func(ctx context.Context, s *smtpserver.Session) error {
			return c.onTransaction(ctx, s, func(v *conversation) (reply, error) { return v.data(s.Message()) })
		},
		EndOfData: c.onEndOfData,
		Disconnect: func(_ context.Context, s *smtpserver.Session) {
			if v := c.current(s); v != nil {
				v.quit()
				s.SetValue(key{c}, nil)
			}
		},
	}
}

// key is where a session keeps its conversation with the milter.
type key struct{ c *Client }

// gaveUp is where it keeps the message that the milter could not be asked
// about.
type gaveUp struct{ c *Client }

func (c *Client) current(s *smtpserver.Session) *conversation {
	v, _ := s.Value(key{c}).(*conversation)
	return v
}

// conversation is the session's. It begins one if there is none. It is nil
// where the milter refused the client at once.
func (c *Client) conversation(ctx context.Context, s *smtpserver.Session) (*conversation, reply, error) {
	if v := c.current(s); v != nil {
		return v, proceed, nil
	}
	v, r, err := c.begin(ctx, s)
	if err != nil {
		return nil, reply{}, err
	}
	c.counters.sessions.Add(1)
	if r.err() != nil {
		v.quit()
		return nil, r, nil
	}
	v.accepted = r.code == gomilter.ActAccept
	s.SetValue(key{c}, v)
	return v, r, nil
}

// opening judges a reply to the events before the first message. A milter
// that is down is not held against the client yet: MAIL will tell.
func (c *Client) opening(v *conversation, r reply, err error) error {
	if err != nil {
		c.failed(err)
		return nil
	}
	if v != nil && r.code == gomilter.ActAccept {
		v.accepted = true
	}
	return c.verdict(r)
}

func (c *Client) onHelo(ctx context.Context, s *smtpserver.Session, _ string) error {
	v := c.current(s)
	if v == nil || v.accepted {
		return nil
	}
	var r reply
	err := v.within(ctx, c.commandTimeout(), 0, func() (err error) {
		r, err = v.helo(s)
		return err
	})
	if err != nil {
		c.hangUp(s, v)
	}
	return c.opening(v, r, err)
}

func (c *Client) onMail(ctx context.Context, s *smtpserver.Session) error {
	if _, err := c.ready(ctx, s); err != nil {
		return err
	}
	return c.ask(ctx, s, s.Message(), func(v *conversation) (reply, error) { return v.mail(s, s.Message()) })
}

// ready makes sure that there is a conversation, unless there was none to be
// had for this message before.
func (c *Client) ready(ctx context.Context, s *smtpserver.Session) (*conversation, error) {
	if s.Value(gaveUp{c}) == s.Message() {
		return nil, c.unseen()
	}
	v, r, err := c.conversation(ctx, s)
	if err != nil {
		return nil, c.down(s, err)
	}
	return v, c.verdict(r)
}

// onTransaction puts an event between MAIL and the end of data to the milter.
// Of a message whose MAIL an agent before this one has kept from it, the
// milter hears at the end of data.
func (c *Client) onTransaction(ctx context.Context, s *smtpserver.Session, f func(*conversation) (reply, error)) error {
	if s.Value(gaveUp{c}) == s.Message() {
		return c.unseen()
	}
	if v := c.current(s); v == nil || v.message != s.Message() {
		return nil
	}
	return c.ask(ctx, s, s.Message(), f)
}

// ask puts one event of a message to the milter.
func (c *Client) ask(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message, f func(*conversation) (reply, error)) error {
	v := c.current(s)
	if v == nil || v.accepted || v.settled && v.message == m {
		return nil
	}
	var r reply
	err := v.within(ctx, c.commandTimeout(), 0, func() (err error) {
		r, err = f(v)
		return err
	})
	if err != nil {
		c.hangUp(s, v)
		return c.down(s, err)
	}
	v.settled = r.code == gomilter.ActAccept || r.code == gomilter.ActDiscard
	return c.verdict(r)
}

// envelope tells the milter what it has not heard of a message.
func (c *Client) envelope(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
	steps := []func(*conversation) (reply, error){func(v *conversation) (reply, error) { return v.mail(s, m) }}
	for _, rcpt := range m.Recipients {
		steps = append(steps, func(v *conversation) (reply, error) { return v.rcpt(m, rcpt.Addr) })
	}
	steps = append(steps, func(v *conversation) (reply, error) { return v.data(m) })
	for _, step := range steps {
		if err := c.ask(ctx, s, m, step); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) onEndOfData(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
	v, err := c.ready(ctx, s)
	if err == nil && v != nil && v.message != m && !v.accepted {
		err = c.envelope(ctx, s, m)
	}
	if err != nil {
		return err
	}
	if v = c.current(s); v == nil { // and yet no error: PassWhenDown
		c.counters.passed.Add(1)
		return nil
	}
	if v.accepted || v.settled {
		return nil
	}
	var r reply
	var changes []gomilter.ModifyAction
	err = v.within(ctx, c.contentTimeout(), m.Header.Size()+m.Body.Size(), func() (err error) {
		if r, err = v.content(m); err == nil && r == proceed {
			changes, r, err = v.end(m)
		}
		return err
	})
	if err != nil {
		c.hangUp(s, v)
		if err := c.down(s, err); err != nil {
			return err
		}
		c.counters.passed.Add(1)
		return nil
	}
	return c.carryOut(s, v, m, changes, r)
}

// carryOut does what the milter wants done with a message.
func (c *Client) carryOut(s *smtpserver.Session, v *conversation, m *smtpserver.Message, changes []gomilter.ModifyAction, r reply) error {
	c.counters.messages.Add(1)
	if err := c.verdict(r); err != nil {
		return err
	}
	if err := v.apply(s, m, changes); err != nil {
		var refused *smtp.SMTPError
		if errors.As(err, &refused) {
			c.counters.refused.Add(1)
			return refused
		}
		// It may be half changed: this one cannot pass, even where mail may.
		c.hangUp(s, v)
		c.failed(err)
		return errDown
	}
	if len(m.Recipients) == 0 { // the milter removed all of them
		return smtpserver.ErrDiscard
	}
	return nil
}

func (c *Client) hangUp(s *smtpserver.Session, v *conversation) {
	v.hangUp()
	s.SetValue(key{c}, nil)
}

func (c *Client) verdict(r reply) error {
	err := r.err()
	if err != nil {
		c.counters.refused.Add(1)
	}
	return err
}

var errDown = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "A content filter is not available, try again later"}

// down is the answer to a message that the milter could not be asked about.
func (c *Client) down(s *smtpserver.Session, err error) error {
	c.failed(err)
	s.SetValue(gaveUp{c}, s.Message())
	return c.unseen()
}

// unseen decides about a message in whose course the conversation broke down.
func (c *Client) unseen() error {
	if c.PassWhenDown {
		return nil
	}
	return errDown
}

func (c *Client) failed(err error) {
	c.counters.failed.Add(1)
	if c.Logger != nil {
		c.Logger.Warn("milter failed", slog.String("milter", c.Address), slog.Any("error", err), slog.Bool("passing", c.PassWhenDown))
	}
}

func (c *Client) debug(text string) {
	if c.Logger != nil {
		c.Logger.Debug(text, slog.String("milter", c.Address))
	}
}
