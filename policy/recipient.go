package policy

import (
	"context"
	"errors"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// RecipientFilter refuses mail for certain recipients, whatever the directory
// says of them.
type RecipientFilter struct {
	// Addresses (whole, or local parts of all domains) and Domains (exact, or
	// "*.domain") that strangers cannot write to: 550 5.1.1, as if they did
	// not exist. Sessions with the right BypassAntiSpam can.
	Addresses []string
	Domains   []string
	// Internal are addresses, such as an organisation's distribution lists,
	// that only those can write to who may relay (AcceptAnyRecipient):
	// 550 5.7.1.
	Internal []string
	// Separators are the characters that begin a sub-address, as they are
	// given to [Subaddresses]: with "+" the filter means bob+anything too where
	// it has bob. None are none.
	Separators string
}

var errInternal = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Only members of the organisation may write to this recipient"}

// Validate tells what is wrong with the settings.
func (f *RecipientFilter) Validate() error {
	_, errs := newAddressMatcher("RecipientFilter", f.Addresses, f.Domains)
	return errors.Join(append(errs, checkAddresses("RecipientFilter.Internal", f.Internal)...)...)
}

// Agent judges at RCPT.
func (f *RecipientFilter) Agent() smtpserver.Agent {
	blocked, _ := newAddressMatcher("", f.Addresses, f.Domains)
	internal := addressSet(f.Internal)
	return smtpserver.Agent{Name: "recipient filter",
		Rcpt: func(ctx context.Context, s *smtpserver.Session, to string, _ *smtp.RcptOptions) error {
			user := f.user(to)
			switch {
			case (blocked.has(to) || blocked.has(user)) && RightsOf(ctx, s)&BypassAntiSpam == 0:
				return errUnknown
			case (inAddressSet(internal, to) || inAddressSet(internal, user)) && RightsOf(ctx, s)&AcceptAnyRecipient == 0:
				return errInternal
			}
			return nil
		}}
}

// user is whose sub-address an address is, or the address itself.
func (f *RecipientFilter) user(to string) string {
	local, domain := addr.Split(simplest(to))
	i := strings.IndexAny(local, f.Separators)
	if i <= 0 || domain == "" {
		return to
	}
	return strings.TrimPrefix(local[:i], `"`) + "@" + domain
}
