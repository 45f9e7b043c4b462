package policy

import (
	"context"
	"errors"
	"slices"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// SenderFilter refuses mail from certain senders: 554 5.1.0. It checks the
// reverse-path and the From field. It also refuses a message if the author in
// its From field cannot be read: 550 5.6.0. It skips sessions that have the
// right BypassAntiSpam.
type SenderFilter struct {
	// Addresses are whole addresses ("spam@example.net") or local parts in all
	// domains.
	Addresses []string
	// Domains are exact ("example.net"), or patterns ("*.example.net") for all
	// domains below.
	Domains []string
	// Blank refuses the null reverse-path. This also refuses all delivery
	// reports, which RFC 5321, 4.5.5 requires servers to accept.
	Blank bool
	// EnvelopeOnly means that the From field is not checked.
	EnvelopeOnly bool
}

var errSender = &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 1, 0}, Message: "Sender denied"}

// Validate returns an error that names each wrong setting.
func (f *SenderFilter) Validate() error {
	_, errs := newAddressMatcher("SenderFilter", f.Addresses, f.Domains)
	return errors.Join(errs...)
}

// Agent returns the agent, which decides at MAIL and at the end of the header.
func (f *SenderFilter) Agent() smtpserver.Agent {
	m, _ := newAddressMatcher("", f.Addresses, f.Domains)
	blank := f.Blank
	a := smtpserver.Agent{Name: "sender filter",
		Mail: func(_ context.Context, _ *smtpserver.Session, from string, _ *smtp.MailOptions) error {
			if from == "" && blank || from != "" && m.has(from) {
				return errSender
			}
			return nil
		}}
	if !f.EnvelopeOnly && len(f.Addresses)+len(f.Domains) > 0 {
		a.EndOfHeaders = func(_ context.Context, _ *smtpserver.Session, msg *smtpserver.Message) error {
			all, err := authors(msg)
			if slices.ContainsFunc(all, m.has) {
				return errSender
			}
			return err
		}
	}
	return Unless(BypassAntiSpam, a)
}
