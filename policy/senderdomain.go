package policy

import (
	"context"
	"fmt"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/resolver"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// SenderDomain refuses senders that cannot get replies: their domain does not
// exist or has neither MX nor address records (550 5.1.8), or it has a null MX
// (550 5.7.27). After a temporary DNS failure the client gets 451 4.4.3. It
// skips sessions that have the right BypassAntiSpam.
type SenderDomain struct {
	// Resolver looks up domains in the DNS. Default: that of the Gate or of the
	// gateway.Gateway. If there is none, a zero NetResolver.
	Resolver Resolver
}

var (
	errNoDomain   = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 8}, Message: "The sender's domain does not exist"}
	errNullMX     = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 27}, Message: "The sender's domain has a null MX"} // RFC 7505, 4.2
	errDomainDown = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 4, 3}, Message: "The sender's domain cannot be looked up at present, try again later"}
)

// Agent returns the agent, which decides at MAIL.
func (d *SenderDomain) Agent() smtpserver.Agent {
	return Unless(BypassAntiSpam, smtpserver.Agent{Name: "sender domain", Inherit: d.Inherit,
		Mail: func(ctx context.Context, _ *smtpserver.Session, from string, _ *smtp.MailOptions) error {
			_, domain := addr.Split(from)
			if from == "" || strings.HasPrefix(domain, "[") {
				return nil
			}
			return checkMailDomain(ctx, d.Resolver, domain)
		}})
}

// checkMailDomain returns an error if a domain cannot get mail (RFC 5321,
// 5.1).
func checkMailDomain(ctx context.Context, r Resolver, domain string) error {
	name, err := addr.Domain(domain)
	if err != nil || !strings.Contains(name, ".") { // a name without a dot is not a mail domain
		return errNoDomain
	}
	ctx, cancel := context.WithTimeout(ctx, dnsTime)
	defer cancel()
	mxs, err := resolver.MXs(ctx, r, name)
	switch {
	case err != nil && !resolver.IsNotFound(err):
		return fmt.Errorf("%w: %w", errDomainDown, err)
	case len(mxs) == 1 && strings.Trim(mxs[0].Host, ".") == "": // RFC 7505, 3
		return errNullMX
	case len(mxs) > 0:
		return nil
	}
	_, err = resolver.Addrs(ctx, r, name, resolver.TypeA, resolver.TypeAAAA)
	switch {
	case err != nil && !resolver.IsNotFound(err):
		return fmt.Errorf("%w: %w", errDomainDown, err)
	case err != nil:
		return errNoDomain
	}
	return nil
}
