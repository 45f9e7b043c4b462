package dmarc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/header"
	"github.com/bridgehead-mail/bridgehead/policy/internal/transaction"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dkim"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/spf"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Checker checks messages with DMARC. The zero value is ready for use: it
// refuses no message, and makes its verdict available to other agents with
// [VerdictOf]. A Checker is safe for concurrent use; its fields must not change
// after the first use.
type Checker struct {
	// Resolver looks up names in the DNS. Default: that of the gateway.Gateway.
	// If there is none, a zero policy.NetResolver, which uses
	// net.DefaultResolver.
	Resolver Resolver
	// Timeout limits the duration of a check. If it expires, the result is
	// TempError. Default: 20 seconds, the limit that RFC 7208, 4.6.4 has for SPF.
	Timeout time.Duration
	// PublicSuffixList selects the method of RFC 7489: organizational domains are
	// found by the public suffix list, and pct applies.
	PublicSuffixList bool

	// Enforce refuses messages with the Disposition Reject, with 550 5.7.1. It
	// also refuses messages that could evade a policy: with several From fields,
	// with authors in several domains, or with a From field that cannot be parsed
	// or has no address. It accepts a From field without an address in a report
	// (null reverse-path). It accepts messages with the Disposition Quarantine;
	// later agents can quarantine them.
	Enforce bool
	// RejectNoAuthor refuses all messages whose From does not name one domain,
	// with 550 5.7.1. RFC 5322 does not allow such messages, but some hosts send
	// notices without a valid From.
	RejectNoAuthor bool
	// DeferTempError refuses messages with the result TempError temporarily, with
	// 451 4.4.3.
	DeferTempError bool
	// Override returns a reason not to apply the policy to a message that fails,
	// for example a trusted forwarder or a mailing list. A Reason with an empty
	// Type has no effect. Default (nil): no policy is overridden.
	Override func(*smtpserver.Session, *smtpserver.Message, *Verdict) Reason
	// Skip reports whether a session is not checked. [VerdictOf] returns nil for
	// such a session. Default: authenticated sessions are not checked.
	Skip func(*smtpserver.Session) bool
	// Collector counts the checked messages for aggregate reports. Default (nil):
	// messages are not counted.
	Collector *Collector
}

// VerdictOf returns the verdict for the current transaction of s, or nil if it
// was not checked.
func VerdictOf(s *smtpserver.Session) *Verdict {
	return transaction.Get[Verdict](s, s.Message())
}

// Inherit sets Resolver if it is not set. The server calls it: see
// smtpserver.Agent.Inherit.
func (c *Checker) Inherit(d smtpserver.Defaults) {
	d.FillResolver(&c.Resolver)
}

// Agent returns an agent that checks each message at the end of data. Add it
// after the agents of packages spf and dkim. Without the verdict of one of them,
// the result is TempError instead of Fail.
func (c *Checker) Agent() smtpserver.Agent {
	return smtpserver.Agent{Name: "dmarc", Inherit: c.Inherit, EndOfData: func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		skip := s.Identity() != ""
		if c.Skip != nil {
			skip = c.Skip(s)
		}
		if skip {
			return nil
		}
		v := c.checkMessage(ctx, s, m)
		transaction.Set(s, m, &v)
		c.collect(s, m, &v)
		return c.refusal(&v)
	}}
}

func (c *Checker) checkMessage(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) Verdict {
	fields := m.Header.Values("From")
	author, err := header.AuthorDomain(fields)
	if errors.Is(err, header.ErrNoAuthor) && len(fields) > 0 && m.From != "" {
		err = fmt.Errorf("%w: %w", header.ErrAuthor, err) // only a report may have a From field without an address
	}
	if err != nil {
		return Verdict{Result: PermError, Disposition: NoAction, Err: err}
	}
	v := c.Check(ctx, author, spf.VerdictOf(s), dkim.VerdictOf(s))
	if v.Disposition != NoAction && c.Override != nil {
		if r := c.Override(s, m, &v); r.Type != "" {
			v.Disposition = NoAction
			v.Reasons = append(v.Reasons, r)
		}
	}
	return v
}

// refusal returns the reply for a verdict, or nil if the message is accepted.
func (c *Checker) refusal(v *Verdict) error {
	switch {
	case v.Disposition == Reject && c.Enforce:
		// The text is that of RFC 9989, 7.2.
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Email rejected per DMARC policy for " + v.Domain}
	case v.Result == PermError && (c.RejectNoAuthor || c.Enforce && evades(v.Err)):
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "The From field does not name one author's domain"}
	case v.Result == TempError && c.DeferTempError:
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 4, 3}, Message: "DMARC cannot be checked now, try again later"}
	}
	return nil
}

// evades reports whether mail programs may show another author's domain than the
// one that was checked.
func evades(err error) bool {
	return errors.Is(err, header.ErrAuthorDomains) || errors.Is(err, header.ErrAuthor)
}

// collect counts the message for the reports.
func (c *Checker) collect(s *smtpserver.Session, m *smtpserver.Message, v *Verdict) {
	if c.Collector == nil {
		return
	}
	at := m.Received
	if at.IsZero() {
		at = time.Now()
	}
	o := Observation{Source: transaction.ClientIP(s), EnvelopeFrom: addr.DomainOf(m.From), Verdict: v, SPF: spf.VerdictOf(s), DKIM: dkim.VerdictOf(s), Applied: v.Disposition, Reasons: v.Reasons}
	if o.SPF != nil && o.SPF.IP.IsValid() {
		o.Source = o.SPF.IP
	}
	if !c.Enforce && o.Applied != NoAction {
		o.Applied = NoAction
		o.Reasons = append(slices.Clip(o.Reasons), Reason{Type: "local_policy", Comment: "policies are not enforced here"})
	}
	c.Collector.Add(at, o)
}
