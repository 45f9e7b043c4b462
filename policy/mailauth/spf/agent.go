package spf

import (
	"context"
	"net/netip"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/policy/internal/transaction"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Checker checks senders. The zero value is ready for use: it uses
// net.DefaultResolver, refuses no mail, and makes its verdict available to other
// agents with [VerdictOf]. A Checker is safe for concurrent use; its fields must
// not change after the first use.
type Checker struct {
	// Resolver looks up names in the DNS. Default: that of the gateway.Gateway.
	// If there is none, a zero policy.NetResolver, which uses
	// net.DefaultResolver.
	Resolver Resolver
	// Timeout limits the duration of a check. If it expires, the result is
	// TempError. Default: 20 seconds (RFC 7208, 4.6.4).
	Timeout time.Duration
	// Receiver is the name of this host. Explanations can contain it as %{r}.
	// Default: the Hostname of the gateway.Gateway; without one, "unknown"
	// (RFC 7208, 7.3).
	Receiver string

	// RejectFail refuses mail if the result is Fail, with 550 5.7.23. Otherwise
	// the agent accepts it, and DMARC can evaluate the result.
	RejectFail bool
	// RejectPermError refuses mail if the result is PermError, with 550 5.7.24.
	RejectPermError bool
	// DeferTempError refuses mail temporarily if the result is TempError, with
	// 451 4.7.24.
	DeferTempError bool

	// Skip reports whether a session is not checked. [VerdictOf] returns nil for
	// such a session. Default: authenticated sessions are not checked, because
	// their mail does not come from another organization.
	Skip func(*smtpserver.Session) bool
	// Origin returns the address and HELO name of the host that sent the
	// message into the organization, if that host is not the client. Use it
	// behind another relay of the organization: the Received field of that
	// relay has the address and the HELO name. Origin returns an invalid
	// address if there is no such host. With Origin, the check runs at the end
	// of the header. Without it, the check runs at DATA.
	Origin func(*smtpserver.Session, *smtpserver.Message) (ip netip.Addr, helo string)
}

// VerdictOf returns the verdict for the current transaction of s, or nil if it
// was not checked.
func VerdictOf(s *smtpserver.Session) *Verdict {
	return transaction.Get[Verdict](s, s.Message())
}

// Inherit sets Resolver and Receiver if they are not set. The server calls it: see
// smtpserver.Agent.Inherit.
func (c *Checker) Inherit(d smtpserver.Defaults) {
	d.FillResolver(&c.Resolver)
	d.Fill(&c.Receiver, nil)
}

// Agent returns an agent that checks each transaction once. It checks after a
// recipient was accepted, so a client that only probes for recipients causes no
// DNS queries.
func (c *Checker) Agent() smtpserver.Agent {
	if c.Origin != nil {
		return smtpserver.Agent{Name: "spf", Inherit: c.Inherit, EndOfHeaders: func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
			ip, helo := c.Origin(s, m)
			return c.checkMessage(ctx, s, m, ip, helo)
		}}
	}
	return smtpserver.Agent{Name: "spf", Inherit: c.Inherit, Data: func(ctx context.Context, s *smtpserver.Session) error {
		return c.checkMessage(ctx, s, s.Message(), transaction.ClientIP(s), s.RawHelo())
	}}
}

func (c *Checker) checkMessage(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message, ip netip.Addr, helo string) error {
	skip := s.Identity() != ""
	if c.Skip != nil {
		skip = c.Skip(s)
	}
	if skip || m == nil {
		return nil
	}
	v := c.Check(ctx, ip, helo, m.From)
	transaction.Set(s, m, &v)
	return c.refusal(&v)
}

// refusal returns the reply for a verdict (RFC 7372, 3.2), or nil if the message
// is accepted.
func (c *Checker) refusal(v *Verdict) error {
	switch {
	case v.Result == Fail && c.RejectFail:
		text := "SPF validation failed: " + v.Domain + " does not allow this host to send mail"
		if v.Explanation != "" {
			text = "SPF validation failed; " + v.Domain + " explains: " + v.Explanation
		}
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 23}, Message: text}
	case v.Result == PermError && c.RejectPermError:
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 24}, Message: "SPF validation error: the policy of " + v.Domain + " is invalid"}
	case v.Result == TempError && c.DeferTempError:
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 24}, Message: "SPF validation error: no answer from DNS, try again later"}
	}
	return nil
}
