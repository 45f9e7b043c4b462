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
)

// An Authenticator proves our identity to a host.
type Authenticator interface {
	// Identity names the account, for logs and the pool's key. Not a secret.
	Identity() string
	// Start chooses one of the mechanisms that the host offers (upper case,
	// in its order) and begins it; nil means that none is acceptable. When the
	// host refuses a mechanism, Start is called again with the others.
	Start(ctx context.Context, host string, mechanisms []string, state *tls.ConnectionState) (sasl.Client, error)
}

// errNoMechanism: the host offers no way to authenticate that we have.
var errNoMechanism = errors.New("no acceptable authentication mechanism")

const (
	// maxAuthRounds bounds the challenges of one exchange.
	maxAuthRounds = 16
	// maxCommandLine is the longest command line in octets, its CRLF included
	// (RFC 5321, 4.5.3.1.4).
	maxCommandLine = 512
)

// Auth authenticates, by the first mechanism of a that the host accepts. It
// does so without TLS too: whether that is acceptable is the caller's matter,
// or a's.
func (c *Client) Auth(ctx context.Context, a Authenticator) error {
	return c.do(ctx, func() error { return c.auth(ctx, a) })
}

// refusedAuth is what the host, in this session or one before it, refused.
type refusedAuth struct {
	mechanisms []string
	reply      *smtp.SMTPError // the most telling one
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
			err = fmt.Errorf("%w, the host offers %q", errNoMechanism, offered)
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
			return c.refused.reply // a has no other
		}
		err = c.exchange(mech, ir, client)
		if err == nil {
			c.identity = a.Identity()
			return nil
		}
		reply, ok := err.(*smtp.SMTPError)
		if !ok || reply.Code == 421 {
			return err
		}
		c.refused.add(mech, reply)
	}
}

// lostInAuth says whether the conversation ended by err after the host had
// refused a mechanism that it had not refused before, and before it has refused
// all that there are.
func (c *Client) lostInAuth(err error, before *refusedAuth) bool {
	return err != nil && len(c.refused.mechanisms) > len(before.mechanisms) && err != error(c.refused.reply)
}

// exchange carries out one mechanism. An error that is a *smtp.SMTPError is the
// host's refusal of it.
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
	c.log.line(line) // nothing else of the exchange, and this without the response
	r, err := c.secret(mech, line)
	if err == nil && r.code == 334 && late != "" {
		r, err = c.secret(mech, late)
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
		if err := done.Done(); err != nil { // the host has not proved that it knows us
			return fmt.Errorf("AUTH %s: %w", mech, err)
		}
	}
	return nil
}

// answer answers one challenge. What the mechanism does not accept ends the
// exchange with "*" (RFC 4954, 4).
func (c *Client) answer(mech string, client sasl.Client, r reply) (reply, error) {
	challenge, ok := decodeChallenge(string(r.text))
	if _, lenient := client.(interface{ anyChallenge() }); !ok && !lenient {
		return r, &ProtocolError{Phase: "AUTH " + mech, Problem: "challenge is not base64"}
	}
	response, err := client.Next(challenge)
	if err != nil {
		if r, cancel := c.secret(mech, "*"); cancel != nil && r.permanent() {
			return r, fmt.Errorf("%w (%w)", cancel, err)
		}
		return r, fmt.Errorf("AUTH %s: %w", mech, err)
	}
	return c.secret(mech, base64.StdEncoding.EncodeToString(response))
}

// decodeChallenge reads base64, with padding or without.
func decodeChallenge(text string) (challenge []byte, ok bool) {
	challenge, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(text), "="))
	return challenge, err == nil
}

// secret sends a line of the exchange, which is not logged.
func (c *Client) secret(mech, line string) (reply, error) {
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
