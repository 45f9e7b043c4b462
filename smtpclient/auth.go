package smtpclient

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/live"
	"github.com/bridgehead-mail/bridgehead/internal/settings"
)

// An Authenticator authenticates the client to a host with SMTP AUTH
// (RFC 4954). Its methods must be safe for concurrent use.
//
// If an Authenticator also has the method Refused(reply *smtp.SMTPError), it is called
// when a host has refused a mechanism or the credentials, for example to replace a
// token that is not accepted any more.
type Authenticator interface {
	// Identity returns the name of the account. It appears in logs, and
	// sessions are shared only by mail with the same identity. It must not be
	// a secret.
	Identity() string
	// Start chooses one of the mechanisms that the host offers and returns a
	// client for it. The mechanisms are in upper case and in the host's order.
	// state is the TLS connection, nil for plain text. A nil client means that
	// no mechanism is acceptable. If the host refuses a mechanism, Start is
	// called again with the remaining ones.
	//
	// The client may have two more methods. Done() error is called after the
	// host has reported success: its error means that the host has not proved
	// what the mechanism demands, and the login fails. IgnoresChallenge() bool is
	// called before Next: true means that Next does not read this challenge,
	// which then need not be base64.
	Start(ctx context.Context, host string, mechanisms []string, state *tls.ConnectionState) (sasl.Client, error)
}

// errNoMechanism means that the host offers no mechanism that the Authenticator
// supports.
var errNoMechanism = errors.New("no acceptable authentication mechanism")

const (
	// maxAuthRounds is the maximum number of challenges of one exchange.
	maxAuthRounds = 16
	// maxCommandLine is the longest command line in octets, its CRLF included
	// (RFC 5321, 4.5.3.1.4).
	maxCommandLine = 512
)

// Auth authenticates with the first mechanism of a that the host accepts. It
// does not require TLS: the caller or the Authenticator must check that the
// session is encrypted before a password is sent. Auth returns a
// *smtp.SMTPError if the host refuses, the error of the Authenticator if that
// fails, or another error if the session fails.
func (c *Client) Auth(ctx context.Context, a Authenticator) error {
	if settings.IsNil(a) {
		return errors.New("smtpclient: Auth: the Authenticator is nil")
	}
	return c.do(ctx, func() error { return c.auth(ctx, a) })
}

// refusedAuth holds the mechanisms that the host refused in this session or in
// the session before it.
type refusedAuth struct {
	mechanisms []string
	reply      *smtp.SMTPError // the first reply, or the first 535 if there is one
}

func (r *refusedAuth) add(mechanism string, reply *smtp.SMTPError) {
	r.mechanisms = append(slices.Clip(r.mechanisms), mechanism)
	if r.reply == nil || r.reply.Code != 535 || reply.Code == 535 { // 535: the credentials (RFC 4954, 6)
		r.reply = reply
	}
}

func (c *Client) auth(ctx context.Context, a Authenticator) error {
	offered := strings.Fields(strings.ToUpper(c.ext["AUTH"]))
	for {
		left := slices.DeleteFunc(slices.Clone(offered), func(m string) bool { return slices.Contains(c.refused.mechanisms, m) })
		client, err := a.Start(ctx, c.cfg.Host, left, c.tls)
		if client == nil && err == nil {
			err = fmt.Errorf("%w: the host offers %q", errNoMechanism, offered)
		}
		if errors.Is(err, errNoMechanism) && c.refused.reply != nil {
			return c.refused.reply
		}
		if err != nil {
			return fmt.Errorf("AUTH: %w", err)
		}
		mech, ir, err := client.Start()
		if err != nil {
			return fmt.Errorf("AUTH %s: %w", mech, err)
		}
		if slices.Contains(c.refused.mechanisms, mech) {
			return c.refused.reply // a has no other mechanism
		}
		err = c.exchange(mech, ir, client)
		if err == nil {
			c.identity = a.Identity()
			c.mon.show(live.StateAuth, func(d *live.Details) { d.Identity = c.identity })
			return nil
		}
		reply, ok := err.(*smtp.SMTPError)
		if !ok || reply.Code == 421 {
			return err
		}
		c.refused.add(mech, reply)
		if a, ok := a.(interface{ Refused(*smtp.SMTPError) }); ok {
			a.Refused(reply)
		}
	}
}

// lostInAuth reports whether err ended the session after the host had refused a
// mechanism for the first time, while other mechanisms were left to try.
func (c *Client) lostInAuth(err error, before *refusedAuth) bool {
	return err != nil && len(c.refused.mechanisms) > len(before.mechanisms) && err != error(c.refused.reply)
}

// exchange runs one mechanism. A *smtp.SMTPError means that the host refused
// the mechanism or the credentials.
func (c *Client) exchange(mech string, ir []byte, client sasl.Client) error {
	line, late := "AUTH "+mech, ""
	if ir != nil {
		response := base64.StdEncoding.EncodeToString(ir)
		if response == "" {
			response = "=" // RFC 4954, 4
		}
		if len(line)+len(" ")+len(response)+len(crlf) > maxCommandLine {
			late = response // after the 334 (RFC 4954, 4)
		} else {
			line += " " + response
		}
	}
	c.log.line(line) // without the response; the rest of the exchange is not logged
	r, err := c.authLine(mech, line)
	if err == nil && r.code == 334 && late != "" {
		r, err = c.authLine(mech, late)
	}
	for rounds := 0; err == nil && r.code == 334; rounds++ {
		if rounds == maxAuthRounds {
			return &ProtocolError{Phase: "AUTH " + mech, Problem: fmt.Sprintf("more than %d challenges", maxAuthRounds)}
		}
		r, err = c.answer(mech, client, r)
	}
	if err != nil {
		return err
	}
	c.log.received(r)
	if !r.ok() { // 235, but some hosts say 250
		return unexpected("AUTH "+mech, r)
	}
	if done, ok := client.(interface{ Done() error }); ok {
		if err := done.Done(); err != nil { // the host has not proved that it knows the password
			return fmt.Errorf("AUTH %s: %w", mech, err)
		}
	}
	return nil
}

// ignoresChallenge reports whether a mechanism does not read the next challenge,
// so that it need not be base64.
func ignoresChallenge(client sasl.Client) bool {
	c, ok := client.(interface{ IgnoresChallenge() bool })
	return ok && c.IgnoresChallenge()
}

// answer replies to one challenge. If the mechanism does not accept the
// challenge, answer cancels the exchange with "*" (RFC 4954, 4).
func (c *Client) answer(mech string, client sasl.Client, r reply) (reply, error) {
	challenge, ok := decodeChallenge(string(r.text))
	if !ok && !ignoresChallenge(client) {
		return r, &ProtocolError{Phase: "AUTH " + mech, Problem: "challenge is not base64"}
	}
	response, err := client.Next(challenge)
	if err != nil {
		if r, cancel := c.authLine(mech, "*"); cancel != nil && r.permanent() {
			return r, fmt.Errorf("%w (%w)", cancel, err)
		}
		return r, fmt.Errorf("AUTH %s: %w", mech, err)
	}
	return c.authLine(mech, base64.StdEncoding.EncodeToString(response))
}

// decodeChallenge decodes base64 with or without padding.
func decodeChallenge(text string) (challenge []byte, ok bool) {
	challenge, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(text), "="))
	return challenge, err == nil
}

// authLine sends a line of the exchange without logging it, and reads the reply.
func (c *Client) authLine(mech, line string) (reply, error) {
	d := c.cfg.Timeouts.hello()
	c.out = append(append(c.out[:0], line...), '\r', '\n')
	err := checkCommand(c.out)
	if err == nil {
		err = c.flush(d)
	}
	clear(c.out[:cap(c.out)])
	if err != nil {
		return reply{}, fmt.Errorf("AUTH %s: %w", mech, err)
	}
	r, err := c.readReply("AUTH "+mech, d)
	if err == nil && (r.transient() || r.permanent()) {
		c.log.received(r)
		return r, r.smtpError()
	}
	return r, err
}
