package milter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"
	"weak"

	gomilter "github.com/emersion/go-milter"
	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/policy/internal/envelope"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Client asks one milter about every session and message. One server may use
// several Clients, also with the same Address. Several servers may use one
// Client. The fields must not change after the first use.
type Client struct {
	// Address is the address of the milter: "127.0.0.1:11332", or the path of
	// a Unix socket, which begins with "/".
	Address string
	// Name is the name of the agent. Default "milter " followed by Address.
	Name string

	// Quarantine is the address that replaces the recipients of a message for
	// which the milter requests quarantine. X-Quarantine-Recipient fields then
	// name the recipients. If it is empty, such messages are refused with 550
	// 5.7.1.
	Quarantine string
	// PassWhenDown lets messages pass unfiltered when the milter fails, with a
	// warning in the log. Otherwise the client gets a 451 4.7.1.
	PassWhenDown bool

	// ConnectTimeout is the limit for connecting to the milter. Default 30
	// seconds, as in Postfix.
	ConnectTimeout time.Duration
	// CommandTimeout is the limit for one command. Default 30 seconds, as in
	// Postfix.
	CommandTimeout time.Duration
	// ContentTimeout is the limit for header and body together. Default 300
	// seconds, as in Postfix.
	ContentTimeout time.Duration

	// Logger logs failures of the milter. Default: that of the gateway.Gateway.
	// If there is none, nothing is logged.
	Logger *slog.Logger

	counters struct{ sessions, messages, refused, failed, passed atomic.Int64 }
}

// Counters count the events of a Client since the start of the program.
type Counters struct {
	Sessions int64 // connections to the milter
	Messages int64 // messages that the milter checked to the end
	Refused  int64 // commands and messages that the milter refused
	Failed   int64 // failures of the milter
	Passed   int64 // messages that passed unfiltered because of PassWhenDown
}

// Counters returns the counters. It may be called at any time.
func (c *Client) Counters() Counters {
	n := &c.counters
	return Counters{n.sessions.Load(), n.messages.Load(), n.refused.Load(), n.failed.Load(), n.passed.Load()}
}

// Validate returns an error that names the first setting that is wrong.
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

// Inherit sets Logger if it is not set. The server calls it: see
// smtpserver.Agent.Inherit.
func (c *Client) Inherit(d smtpserver.Defaults) { d.Fill(nil, &c.Logger) }

// Agent returns an agent that asks the milter at each event. Put it after the
// agents that decide who may send to whom, so that the milter gets only accepted
// recipients, and before the agents that sign messages or add trace fields.
func (c *Client) Agent() smtpserver.Agent {
	name := c.Name
	if name == "" {
		name = "milter " + c.Address
	}
	return smtpserver.Agent{
		Name:    name,
		Inherit: c.Inherit,
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

// key is the key of the conversation in the values of a session.
type key struct{ c *Client }

// gaveUp is the key of the message during which the milter failed.
type gaveUp struct{ c *Client }

func (c *Client) current(s *smtpserver.Session) *conversation {
	v, _ := s.Value(key{c}).(*conversation)
	return v
}

// conversation returns the conversation of the session, and begins one if there
// is none. It is nil if the milter refused the client immediately.
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

// opening handles a reply to an event before the first message. A failure of the
// milter has no effect yet: MAIL tries again.
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

// ready begins a conversation if there is none. It does not try again for a
// message for which the milter has failed before.
func (c *Client) ready(ctx context.Context, s *smtpserver.Session) (*conversation, error) {
	if s.Value(gaveUp{c}) == weak.Make(s.Message()) {
		return nil, c.unseen()
	}
	v, r, err := c.conversation(ctx, s)
	if err != nil {
		return nil, c.down(s, err)
	}
	return v, c.verdict(r)
}

// onTransaction sends an event between MAIL and the end of data to the milter. If
// the milter has not got MAIL, because an earlier agent ended that event, it gets
// the whole envelope at the end of data.
func (c *Client) onTransaction(ctx context.Context, s *smtpserver.Session, f func(*conversation) (reply, error)) error {
	if s.Value(gaveUp{c}) == weak.Make(s.Message()) {
		return c.unseen()
	}
	if v := c.current(s); v == nil || v.message != weak.Make(s.Message()) {
		return nil
	}
	return c.ask(ctx, s, s.Message(), f)
}

// ask sends one event of a message to the milter.
func (c *Client) ask(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message, f func(*conversation) (reply, error)) error {
	v := c.current(s)
	if v == nil || v.accepted || v.settled && v.message == weak.Make(m) {
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

// envelope sends the envelope of a message that the milter has not got.
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
	if err == nil && v != nil && v.message != weak.Make(m) && !v.accepted {
		err = c.envelope(ctx, s, m)
	}
	if err != nil {
		return err
	}
	if v = c.current(s); v == nil { // the milter failed, and PassWhenDown is set
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

// carryOut applies the milter's changes and verdict to a message.
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
		// The message may be partly changed, so it cannot pass, even with
		// PassWhenDown.
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

// down records that the milter failed for the current message, and returns the
// reply.
func (c *Client) down(s *smtpserver.Session, err error) error {
	c.failed(err)
	s.SetValue(gaveUp{c}, weak.Make(s.Message())) // the session must not keep its content
	return c.unseen()
}

// unseen returns the reply for a message during which the milter failed.
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
