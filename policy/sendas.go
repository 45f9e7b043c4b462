package policy

import (
	"context"
	"fmt"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// SendAs holds authenticated clients to the senders that are theirs, in the
// reverse-path and the From field (RFC 6409, 6.1): 550 5.7.1. It also refuses a
// From field whose author cannot be read (550 5.6.0), and more than 100 authors
// of one message. Every client may use the null reverse-path, which reports
// have. Sessions with the right AcceptAnySender are free of all this.
type SendAs struct {
	// Owns says whether the identity may use the sender. An error makes the
	// client come again (451 4.3.0). Nil owns nothing.
	Owns func(ctx context.Context, identity, sender string) (bool, error)
	// EnvelopeOnly does not look at the From field.
	EnvelopeOnly bool
}

// maxSendAs bounds how many senders of one message Owns is asked about.
const maxSendAs = 100

var (
	errSendAs     = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "You may not send as this sender"}
	errSendAsDown = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "Your senders cannot be looked up at present, try again later"}
)

// Agent judges at MAIL, and when the header is complete.
func (p *SendAs) Agent() smtpserver.Agent {
	a := smtpserver.Agent{Name: "send as",
		Mail: func(ctx context.Context, s *smtpserver.Session, from string, _ *smtp.MailOptions) error {
			if from == "" {
				return nil
			}
			return p.judge(ctx, s, from)
		}}
	if !p.EnvelopeOnly {
		a.EndOfHeaders = func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
			if s.Identity() == "" {
				return nil
			}
			all, err := authors(m)
			if err == nil && len(all) == 0 && m.Header.Count("From") > 0 {
				err = errAuthor // a user sends no reports
			}
			if len(all) > maxSendAs {
				return errSendAs
			}
			for _, from := range all {
				if err := p.judge(ctx, s, from); err != nil {
					return err
				}
			}
			return err
		}
	}
	return Unless(AcceptAnySender, a)
}

func (p *SendAs) judge(ctx context.Context, s *smtpserver.Session, sender string) error {
	if s.Identity() == "" {
		return nil
	}
	if p.Owns == nil {
		return errSendAs
	}
	ok, err := p.Owns(ctx, s.Identity(), sender)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", errSendAsDown, err)
	case !ok:
		return errSendAs
	}
	return nil
}

// SendersOf makes a table the Owns of a SendAs: for each identity its senders,
// as addresses or as "@domain" for all of a domain's. An identity that is an
// address itself owns that one.
func SendersOf(table map[string][]string) func(ctx context.Context, identity, sender string) (bool, error) {
	sets := make(map[string]map[string]bool, len(table))
	for id, senders := range table {
		sets[id] = addressSet(senders)
	}
	return func(_ context.Context, identity, sender string) (bool, error) {
		f := fold(sender)
		own := strings.Contains(identity, "@") && fold(identity) == f
		return own || sets[identity][f] || sets[identity]["@"+addr.DomainOf(sender)], nil
	}
}
