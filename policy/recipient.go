package policy

import (
	"context"
	"errors"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// RecipientFilter refuses mail for certain recipients, even if a directory
// lists them.
type RecipientFilter struct {
	// Addresses (whole, or local parts in all domains) and Domains (exact, or
	// "*.domain") are recipients that are refused with 550 5.1.1, as if they
	// did not exist. Sessions with the right BypassAntiSpam may write to them.
	Addresses []string
	Domains   []string
	// Internal are addresses, for example distribution lists of the
	// organization. Only sessions with the right AcceptAnyRecipient may write
	// to them; others get 550 5.7.1.
	Internal []string
	// Separators are the characters that begin a subaddress, as in
	// [Subaddresses]. With "+" the entry bob also matches bob+anything. If it
	// is empty, subaddresses are not matched.
	Separators string
}

var errInternal = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Only members of the organization may write to this recipient"}

// Validate returns an error that names each wrong setting.
func (f *RecipientFilter) Validate() error {
	_, errs := newAddressMatcher("RecipientFilter", f.Addresses, f.Domains)
	return errors.Join(append(errs, checkAddresses("RecipientFilter.Internal", f.Internal)...)...)
}

// Agent returns the agent, which decides at RCPT.
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

// user returns the address without its subaddress.
func (f *RecipientFilter) user(to string) string {
	local, domain := addr.Split(simplest(to))
	i := strings.IndexAny(local, f.Separators)
	if i <= 0 || domain == "" {
		return to
	}
	return strings.TrimPrefix(local[:i], `"`) + "@" + domain
}
