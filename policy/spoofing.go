package policy

import (
	"context"
	"errors"
	"slices"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Spoofing refuses mail that comes from outside and claims a sender of one's
// own, in the reverse-path or the From field: 550 5.7.1. It also refuses a From
// field whose author cannot be read: 550 5.6.0. Sessions with the right
// AcceptAuthoritativeDomainSender may use such senders: those of the relay's
// own networks and users, and all that are granted it.
type Spoofing struct {
	// Domains that are one's own: the authoritative ones of the set.
	Domains *Domains
	// Senders that services outside may use ("newsletter@example.com", or a
	// local part): both in the reverse-path and in From.
	Senders []string
	// Trusted lets a message keep its From field, such as one that DMARC has
	// verified, or one that comes back from a mailing list outside. It is
	// asked at the end of data. Nil trusts none.
	Trusted func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) bool
	// EnvelopeOnly does not look at the From field.
	EnvelopeOnly bool
}

var errSpoofed = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "You may not send as a sender of this organisation"}

// Validate tells what is wrong with the settings.
func (p *Spoofing) Validate() error {
	return errors.Join(checkAddresses("Spoofing.Senders", p.Senders)...)
}

// Agent judges at MAIL, and when the header is complete (with Trusted: when
// all of the message is there).
func (p *Spoofing) Agent() smtpserver.Agent {
	senders := addressSet(p.Senders)
	own := func(address string) bool {
		_, domain := addr.Split(address)
		d := p.Domains.Lookup(domain)
		return d != nil && d.Kind == Authoritative && !inAddressSet(senders, address)
	}
	a := smtpserver.Agent{Name: "spoofing",
		Mail: func(_ context.Context, _ *smtpserver.Session, from string, _ *smtp.MailOptions) error {
			if own(from) {
				return errSpoofed
			}
			return nil
		}}
	header := func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		all, err := authors(m)
		if slices.ContainsFunc(all, own) {
			err = errSpoofed
		}
		if err != nil && p.Trusted != nil && p.Trusted(ctx, s, m) {
			return nil
		}
		return err
	}
	switch {
	case p.EnvelopeOnly:
	case p.Trusted == nil:
		a.EndOfHeaders = header
	default:
		a.EndOfData = header
	}
	return Unless(AcceptAuthoritativeDomainSender, a)
}
