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

// A Checker applies DMARC. Its zero value is ready for use: it refuses
// nothing and leaves its verdict for other agents ([VerdictOf]). It may be used
// by many sessions at once; its fields must not change meanwhile.
type Checker struct {
	// Resolver answers; a *net.Resolver will do. Default net.DefaultResolver.
	Resolver Resolver
	// Timeout bounds a whole check. Default 20 s, as for SPF.
	Timeout time.Duration
	// PublicSuffixList finds organizations as RFC 7489 did, by the list, and
	// honours pct.
	PublicSuffixList bool

	// Enforce refuses what the author's domain wants rejected, with 550
	// 5.7.1, and messages by which a policy could be evaded: with several
	// From fields, authors of several domains, or a From field that cannot be
	// read or has no address. (A report, with the null reverse-path, may have
	// none.) What a domain wants quarantined is for later agents to see to, by
	// the verdict's Disposition.
	Enforce bool
	// RejectNoAuthor refuses messages in which no author's domain can be
	// found, either. RFC 5322 does not allow them, but some hosts' own notices
	// are like that.
	RejectNoAuthor bool
	// DeferTempError asks the client to come again when DNS gave no answer
	// that is needed, with 451 4.4.3.
	DeferTempError bool
	// Override names a reason not to apply a policy to a message that fails:
	// a trusted forwarder, a mailing list. An empty Type overrides nothing.
	Override func(*smtpserver.Session, *smtpserver.Message, *Verdict) Reason
	// Skip names sessions that are not checked, for which [VerdictOf] finds
	// nothing. Default: those that are authenticated.
	Skip func(*smtpserver.Session) bool
	// Collector, where set, counts every message for the aggregate reports.
	Collector *Collector
}

// VerdictOf finds the verdict about the transaction that s has in progress;
// nil where none was checked.
func VerdictOf(s *smtpserver.Session) *Verdict {
	return transaction.Get[Verdict](s, s.Message())
}

// Agent judges each message at the end of data. Its place is behind the
// agents of packages spf and dkim: of a message about which one of them has
// left no verdict, it says TempError rather than Fail.
func (c *Checker) Agent() smtpserver.Agent {
	return smtpserver.Agent{Name: "dmarc", EndOfData: func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		skip := s.Identity() != ""
		if c.Skip != nil {
			skip = c.Skip(s)
		}
		if skip {
			return nil
		}
		v := c.judge(ctx, s, m)
		transaction.Set(s, m, &v)
		c.collect(s, m, &v)
		return c.refusal(&v)
	}}
}

func (c *Checker) judge(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) Verdict {
	fields := m.Header.Values("From")
	author, err := header.AuthorDomain(fields)
	if errors.Is(err, header.ErrNoAuthor) && len(fields) > 0 && m.From != "" {
		err = fmt.Errorf("%w: %w", header.ErrAuthor, err) // only a report may have none
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

// refusal is the reply that a verdict deserves; nil for none.
func (c *Checker) refusal(v *Verdict) error {
	switch {
	case v.Disposition == Reject && c.Enforce:
		// RFC 9989, 7.2 has this text.
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Email rejected per DMARC policy for " + v.Domain}
	case v.Result == PermError && (c.RejectNoAuthor || c.Enforce && evades(v.Err)):
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "The From field does not name one author's domain"}
	case v.Result == TempError && c.DeferTempError:
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 4, 3}, Message: "DMARC cannot be checked now, try again later"}
	}
	return nil
}

// evades says whether the From field might name one domain to us and another
// one to people.
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
