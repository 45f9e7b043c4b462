package smtpclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/internal/settings"
)

// Send sends one message to the host at addr, for example
// "smtp.example.net:587", and closes the connection. It needs no other settings:
//
//   - With auth, the session must use TLS, and the certificate must be valid for
//     the host name in addr. The password is never sent otherwise.
//   - With a nil auth, Send uses TLS if the host offers it, and accepts any
//     certificate (TLSOpportunistic). This is how mail servers send to each other.
//   - At port 465, TLS begins with the first byte (RFC 8314). At other ports, the
//     session begins with STARTTLS.
//   - If the content has 8-bit characters and m.Options.Body is empty, it is sent
//     as 8BITMIME.
//
// If a recipient did not get the message, the error is a *[SendError] that names
// it, and all others got the message. Any other error is about the arguments: the
// message was sent to no recipient.
//
// Send looks up the host with net.DefaultResolver, and sends the name of the
// system in EHLO. It returns when ctx ends, and has the limits and timeouts of a
// zero Transport (for example AttemptTime, 30 minutes). It is safe for concurrent
// use.
//
// To send many messages, or with other settings, use a [Transport], which keeps
// its sessions.
func Send(ctx context.Context, addr string, auth Authenticator, m *Message) error {
	return send(ctx, &Transport{Auth: auth, MaxIdle: -1}, addr, m)
}

// send implements Send. t keeps no session, so Send has nothing to close.
func send(ctx context.Context, t *Transport, addr string, m *Message) error {
	switch {
	case m == nil:
		return errors.New("smtpclient: Send: the message is nil")
	case m.Content == nil:
		return errors.New("smtpclient: Send: the message has no Content")
	case settings.IsTypedNil(t.Auth):
		return fmt.Errorf("smtpclient: Send: auth is a nil %T", t.Auth)
	case len(m.Recipients) == 0:
		return errors.New("smtpclient: Send: the message has no Recipients")
	}
	host, service, err := net.SplitHostPort(addr)
	if err != nil || host == "" {
		return fmt.Errorf("smtpclient: Send: %q is not a host name with a port, such as \"smtp.example.net:587\"", addr)
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "tcp", service)
	if err != nil {
		return fmt.Errorf("smtpclient: Send: %q: %w", addr, err)
	}
	t.ImplicitTLS = port == implicitTLSPort
	declared := *m
	if declared.Options.Body == "" && content.EightBit(m.Content) {
		declared.Options.Body = smtp.Body8BitMIME
	}
	dst := &Destination{Name: addr, Hosts: func(ctx context.Context) ([]Host, error) { return lookupHost(ctx, host, uint16(port)) }}
	return sendError(m, t.Send(ctx, dst, &declared))
}

const implicitTLSPort = 465 // RFC 8314, 3.3

// lookupHost returns the host with its addresses.
func lookupHost(ctx context.Context, name string, port uint16) ([]Host, error) {
	h := Host{Name: name}
	if ip, err := netip.ParseAddr(name); err == nil {
		h.Name = "[" + name + "]"
		h.Addrs = []netip.AddrPort{netip.AddrPortFrom(ip, port)}
		return []Host{h}, nil
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return nil, err
	}
	for _, ip := range ips {
		h.Addrs = append(h.Addrs, netip.AddrPortFrom(ip.Unmap(), port))
	}
	return []Host{h}, nil
}

// A SendError means that [Send] did not deliver a message to some of its
// recipients. errors.As finds the *smtp.SMTPError, the *[TLSError] and so on that
// is the cause.
type SendError struct {
	// Failed are the recipients that did not get the message, in the order of
	// Message.Recipients. All other recipients got it.
	Failed []RecipientError
	// Recipients is the number of all recipients of the message.
	Recipients int
}

// A RecipientError has the reply or the reason why one recipient did not get a
// message. If Result.Outcome is Failure, the message cannot be delivered to it.
// Otherwise the program may send the message to it again later.
type RecipientError struct {
	Addr   string
	Result Result
}

func sendError(m *Message, results []Result) error {
	e := &SendError{Recipients: len(results)}
	for i, r := range results {
		if r.Outcome != Success {
			e.Failed = append(e.Failed, RecipientError{Addr: m.Recipients[i].Addr, Result: r})
		}
	}
	if len(e.Failed) == 0 {
		return nil
	}
	return e
}

// Error returns the number of recipients that failed and the first of them with
// its reply.
func (e *SendError) Error() string {
	if len(e.Failed) == 0 {
		return "smtpclient: no recipient failed"
	}
	return fmt.Sprintf("smtpclient: %d of %d recipients failed: %v", len(e.Failed), e.Recipients, &e.Failed[0])
}

// Unwrap returns a *RecipientError for each recipient in Failed.
func (e *SendError) Unwrap() []error {
	errs := make([]error, len(e.Failed))
	for i := range e.Failed {
		errs[i] = &e.Failed[i]
	}
	return errs
}

// Error returns the recipient and the reply, and the cause if the reply does not
// contain it.
func (e *RecipientError) Error() string {
	r := &e.Result.Reply
	var b strings.Builder
	fmt.Fprintf(&b, "<%s>: %d", e.Addr, r.Code)
	if c := r.EnhancedCode; c[0] > 0 {
		fmt.Fprintf(&b, " %d.%d.%d", c[0], c[1], c[2])
	}
	fmt.Fprintf(&b, " %s", r.Message)
	if err := e.Result.Err; err != nil && e.Result.Host == "" && !strings.Contains(r.Message, err.Error()) {
		fmt.Fprintf(&b, ": %v", err)
	}
	return b.String()
}

// Unwrap returns the reply, a *smtp.SMTPError, and Result.Err.
func (e *RecipientError) Unwrap() []error {
	errs := []error{&e.Result.Reply}
	if e.Result.Err != nil {
		errs = append(errs, e.Result.Err)
	}
	return errs
}
