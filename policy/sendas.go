package policy

import (
	"context"
	"fmt"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/header"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// SendAs restricts authenticated clients to their own senders, in the
// reverse-path and the From field (RFC 6409, 6.1): 550 5.7.1. It also refuses a
// message if the authors in its From field cannot be read (550 5.6.0), or if
// there are more than 100 authors. A message without a From field is checked by its
// Sender field, which programs show then. Every client may use the null reverse-path,
// because delivery reports use it. Sessions with the right AcceptAnySender are
// not restricted.
type SendAs struct {
	// Owns reports whether the identity may use the sender. After an error the
	// client gets 451 4.3.0. If Owns is nil, no identity may use any sender.
	Owns func(ctx context.Context, identity, sender string) (bool, error)
	// EnvelopeOnly means that the From field is not checked.
	EnvelopeOnly bool
}

// maxSendAs limits how many authors of one message are checked.
const maxSendAs = 100

var (
	errSendAs     = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "You may not send as this sender"}
	errSendAsDown = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "Your senders cannot be looked up at present, try again later"}
)

// Agent returns the agent, which decides at MAIL and at the end of the header.
func (p *SendAs) Agent() smtpserver.Agent {
	a := smtpserver.Agent{Name: "send as",
		Mail: func(ctx context.Context, s *smtpserver.Session, from string, _ *smtp.MailOptions) error {
			if from == "" {
				return nil
			}
			return p.check(ctx, s, from)
		}}
	if !p.EnvelopeOnly {
		a.EndOfHeaders = func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
			if s.Identity() == "" {
				return nil
			}
			all, err := authors(m)
			if m.Header.Count("From") == 0 {
				all, err = substitutes(m)
			}
			if err == nil && len(all) == 0 && m.Header.Count("From") > 0 {
				err = errAuthor // users do not send reports
			}
			if len(all) > maxSendAs {
				return errSendAs
			}
			for _, from := range all {
				if err := p.check(ctx, s, from); err != nil {
					return err
				}
			}
			return err
		}
	}
	return Unless(AcceptAnySender, a)
}

// substitutes returns the addresses in the Sender fields of a message.
func substitutes(m *smtpserver.Message) (all []string, err error) {
	values := m.Header.Values("Sender")
	if len(values) == 0 {
		return nil, nil
	}
	list, err := header.Authors(values)
	for _, a := range list {
		all = append(all, a.Addr)
	}
	if err != nil {
		err = errAuthor
	}
	return all, err
}

func (p *SendAs) check(ctx context.Context, s *smtpserver.Session, sender string) error {
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

// SendersOf returns a function for SendAs.Owns that uses a table from identity
// to senders. A sender is an address, or "@domain" for all addresses of a
// domain. An identity that is an address also owns that address. Upper and lower
// case are equal. Two identities in the table that differ only in case have no
// senders, because an Authenticator that ignores case cannot distinguish them.
func SendersOf(table map[string][]string) func(ctx context.Context, identity, sender string) (bool, error) {
	sets := make(map[string]map[string]bool, len(table))
	for id, senders := range table {
		id = addr.FoldLocal(id)
		if _, twice := sets[id]; twice {
			sets[id] = nil
			continue
		}
		sets[id] = addressSet(senders)
	}
	return func(_ context.Context, identity, sender string) (bool, error) {
		f := fold(sender)
		own := strings.Contains(identity, "@") && fold(identity) == f
		set := sets[addr.FoldLocal(identity)]
		return own || set[f] || set["@"+addr.DomainOf(sender)], nil
	}
}
