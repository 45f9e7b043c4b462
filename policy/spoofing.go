package policy

import (
	"context"
	"errors"
	"slices"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Spoofing refuses mail from outside if the reverse-path or the From field has
// an address of the organization: 550 5.7.1. It also refuses a message if the
// author in its From field cannot be read: 550 5.6.0. Sessions with the right
// AcceptAuthoritativeDomainSender may use such addresses. By default, these are
// clients in the relay's networks and authenticated users.
type Spoofing struct {
	// Domains are the accepted domains. The authoritative domains belong to the
	// organization.
	Domains *Domains
	// Senders are addresses of the organization that outside services may use
	// ("newsletter@example.com", or a local part), in the reverse-path and the
	// From field.
	Senders []string
	// Trusted reports whether the From field of a message is accepted, for
	// example because DMARC has verified it, or because the message comes back
	// from an outside mailing list. It is called at the end of data. If it is
	// nil, no From field is accepted for this reason.
	Trusted func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) bool
	// EnvelopeOnly means that the From field is not checked.
	EnvelopeOnly bool
}

var errSpoofed = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "You may not send as a sender of this organization"}

// Validate returns an error that names each wrong setting.
func (p *Spoofing) Validate() error {
	return errors.Join(checkAddresses("Spoofing.Senders", p.Senders)...)
}

// Agent returns the agent. It decides at MAIL, and at the end of the header
// or, with Trusted, at the end of data.
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
