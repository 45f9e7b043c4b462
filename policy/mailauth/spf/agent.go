package spf

import (
	"context"
	"net/netip"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/policy/internal/transaction"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Checker judges senders. Its zero value is ready for use: it asks
// net.DefaultResolver, refuses nothing and leaves its verdict for other
// agents ([ResultOf]). It may be used by many sessions at once; its fields
// must not change meanwhile.
type Checker struct {
	// Resolver answers; a *net.Resolver will do. Default net.DefaultResolver.
	Resolver Resolver
	// Timeout bounds a whole check. Default 20 s (RFC 7208, 4.6.4); what is
	// not known then is a TempError.
	Timeout time.Duration
	// Receiver is the name of the checking host, for explanations (%{r}).
	Receiver string

	// RejectFail refuses mail whose result is Fail, with 550 5.7.23. Without
	// it the result is there for DMARC and others to weigh.
	RejectFail bool
	// RejectPermError refuses mail from domains with a broken policy, with
	// 550 5.7.24.
	RejectPermError bool
	// DeferTempError asks the client to come again when DNS gave no answer,
	// with 451 4.7.24.
	DeferTempError bool

	// Skip names sessions that are not checked, for which [ResultOf] finds
	// nothing. Default: those that are authenticated, which are not mail from
	// another organisation's border.
	Skip func(*smtpserver.Session) bool
	// Origin finds the host that brought the mail into the organisation,
	// where that is not the client itself: behind a relay of one's own the
	// address and name are in its Received field. It returns an invalid
	// address where there is none. With Origin the check comes when the
	// header is there; without it, before the client may send the data.
	Origin func(*smtpserver.Session, *smtpserver.Message) (ip netip.Addr, helo string)
}

// ResultOf finds the verdict about the transaction that s has in progress;
// nil where none was checked.
func ResultOf(s *smtpserver.Session) *Verdict {
	return transaction.Kept[Verdict](s, s.Message())
}

// Agent checks each transaction once, after a recipient was accepted, so that
// probing for recipients causes no DNS queries.
func (c *Checker) Agent() smtpserver.Agent {
	if c.Origin != nil {
		return smtpserver.Agent{Name: "spf", EndOfHeaders: func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
			ip, helo := c.Origin(s, m)
			return c.judge(ctx, s, m, ip, helo)
		}}
	}
	return smtpserver.Agent{Name: "spf", Data: func(ctx context.Context, s *smtpserver.Session) error {
		return c.judge(ctx, s, s.Message(), transaction.ClientIP(s), s.RawHelo())
	}}
}

func (c *Checker) judge(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message, ip netip.Addr, helo string) error {
	skip := s.Identity() != ""
	if c.Skip != nil {
		skip = c.Skip(s)
	}
	if skip || m == nil {
		return nil
	}
	v := c.Check(ctx, ip, helo, m.From)
	transaction.Keep(s, m, &v)
	return c.refusal(&v)
}

// refusal is the reply that a verdict deserves (RFC 7372, 3.2); nil for none.
func (c *Checker) refusal(v *Verdict) error {
	switch {
	case v.Result == Fail && c.RejectFail:
		text := "SPF validation failed: " + v.Domain + " does not let this host send"
		if v.Explanation != "" {
			text = "SPF validation failed; " + v.Domain + " explains: " + v.Explanation
		}
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 23}, Message: text}
	case v.Result == PermError && c.RejectPermError:
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 24}, Message: "SPF validation error: the policy of " + v.Domain + " is broken"}
	case v.Result == TempError && c.DeferTempError:
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 24}, Message: "SPF validation error: no answer from DNS, try again later"}
	}
	return nil
}
