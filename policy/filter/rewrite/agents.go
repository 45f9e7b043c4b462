package rewrite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// senderFields are the fields that outbound rewriting covers, the same as in
// Exchange.
var senderFields = []string{"From", "Sender", "Reply-To", "Return-Receipt-To", "Disposition-Notification-To", "Resent-From", "Resent-Sender"}

// Outbound replaces internal addresses by external ones in the reverse-path and
// the sender fields of mail that the organization sends.
type Outbound struct {
	// Map is the table of addresses. It must be set.
	Map *Map
	// When reports whether a message is rewritten. If it is nil, all messages
	// that the server accepts are rewritten.
	When func(s *smtpserver.Session, m *smtpserver.Message) bool
}

// Agent returns an agent that rewrites addresses at the end of data. If the
// From field of a message cannot be parsed, the agent refuses the message with
// 550 5.6.0.
func (o *Outbound) Agent() smtpserver.Agent {
	return smtpserver.Agent{Name: "address rewriting out", EndOfData: func(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		if o.When != nil && !o.When(s, m) {
			return nil
		}
		return senders(m, o.Map.Out)
	}}
}

// senders rewrites the reverse-path and senderFields. It refuses a From field
// that cannot be parsed, because it could disclose an internal address.
func senders(m *smtpserver.Message, f rewriter) error {
	if err := checkFrom(&m.Header); err != nil {
		return err
	}
	if from, ok := f(m.From); ok && m.From != "" {
		m.From = from
	}
	return f.fields(&m.Header, senderFields)
}

// Inbound replaces external addresses by internal ones in the recipients and in
// the fields To and Cc of mail from outside. It sets the original recipient
// (ORCPT) of a rewritten recipient to the external address, unless the client
// has sent one. Delivery reports name the original recipient.
//
// Inbound works at the end of data. Agents that check recipients at RCPT see
// the external addresses.
type Inbound struct {
	// Map is the table of addresses. It must be set.
	Map *Map
	// When reports whether a message is rewritten. If it is nil, all messages
	// that the server accepts are rewritten.
	When func(s *smtpserver.Session, m *smtpserver.Message) bool
}

// Agent returns an agent that rewrites addresses at the end of data.
func (in *Inbound) Agent() smtpserver.Agent {
	return smtpserver.Agent{Name: "address rewriting in", EndOfData: func(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		if in.When != nil && !in.When(s, m) {
			return nil
		}
		recipients(s, m, in.Map.In)
		return rewriter(in.Map.In).fields(&m.Header, []string{"To", "Cc"})
	}}
}

// recipients rewrites the recipients of the envelope. If two recipients become
// the same address, only the first is kept.
func recipients(s *smtpserver.Session, m *smtpserver.Message, f rewriter) {
	var rs []smtpserver.Recipient
	for i, r := range m.Recipients {
		to, ok := f(r.Addr)
		if !ok {
			continue
		}
		if rs == nil {
			rs = slices.Clone(m.Recipients)
		}
		policy.Admit(s, to) // the relay policy has accepted the external address
		rs[i].Addr = to
		if r.Options.OriginalRecipient == "" {
			rs[i].Options.OriginalRecipientType = smtp.DSNAddressTypeRFC822
			rs[i].Options.OriginalRecipient = r.Addr
		}
	}
	if rs == nil {
		return
	}
	seen := make(map[string]bool, len(rs))
	m.Recipients = slices.DeleteFunc(rs, func(r smtpserver.Recipient) bool {
		local, _ := addr.Split(r.Addr)
		key := local + "@" + addr.DomainOf(r.Addr)
		was := seen[key]
		seen[key] = true
		return was
	})
}

// Masquerade replaces other domains by Domain, in the same places as Outbound.
// The SMTP service of Windows calls this the masquerade domain.
type Masquerade struct {
	// Domain is the domain that replaces the others.
	Domain string
	// Domains are the domains that are replaced, each with its subdomains.
	// Addresses in Domain itself never change.
	Domains []string
	// Except are local parts that keep their domain, such as "root", because
	// the domain shows the host.
	Except []string
	// When reports whether a message is rewritten. If it is nil, all messages
	// that the server accepts are rewritten.
	When func(s *smtpserver.Session, m *smtpserver.Message) bool
}

// Validate returns an error that names the first setting that is wrong.
func (q *Masquerade) Validate() error {
	if _, isAddress, err := canonical(q.Domain); err != nil || isAddress {
		return fmt.Errorf("rewrite: Masquerade.Domain: %q is not a domain", q.Domain)
	}
	if len(q.Domains) == 0 {
		return errors.New("rewrite: Masquerade.Domains is empty")
	}
	for _, d := range q.Domains {
		if _, isAddress, err := canonical(d); err != nil || isAddress {
			return fmt.Errorf("rewrite: Masquerade.Domains: %q is not a domain", d)
		}
	}
	return nil
}

// Agent returns an agent that rewrites addresses at the end of data. If the
// From field of a message cannot be parsed, the agent refuses the message with
// 550 5.6.0.
func (q *Masquerade) Agent() smtpserver.Agent {
	return smtpserver.Agent{Name: "masquerade", EndOfData: func(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		if q.When != nil && !q.When(s, m) {
			return nil
		}
		return senders(m, q.address)
	}}
}

func (q *Masquerade) address(address string) (string, bool) {
	local, domain := addr.Split(address)
	d := addr.DomainOf(address)
	if domain == "" || d == addr.FoldDomain(q.Domain) || slices.ContainsFunc(q.Except, func(e string) bool { return addr.FoldLocal(e) == addr.FoldLocal(local) }) {
		return "", false
	}
	for _, own := range q.Domains {
		if own = addr.FoldDomain(own); d == own || strings.HasSuffix(d, "."+own) {
			return local + "@" + addr.FoldDomain(q.Domain), true
		}
	}
	return "", false
}
