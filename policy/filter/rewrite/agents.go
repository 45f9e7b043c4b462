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

// senderFields are those that outbound rewriting covers, as Exchange's does.
var senderFields = []string{"From", "Sender", "Reply-To", "Return-Receipt-To", "Disposition-Notification-To", "Resent-From", "Resent-Sender"}

// Outbound makes external addresses of internal ones in what the
// organisation sends.
type Outbound struct {
	Map *Map
	// When says which messages are meant. nil: all that the server takes.
	When func(s *smtpserver.Session, m *smtpserver.Message) bool
}

// Agent rewrites at the end of data.
func (o *Outbound) Agent() smtpserver.Agent {
	return smtpserver.Agent{Name: "address rewriting out", EndOfData: func(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		if o.When != nil && !o.When(s, m) {
			return nil
		}
		return senders(m, o.Map.Out)
	}}
}

// senders rewrites the reverse-path and the fields that say who sends. A From
// field that cannot be read might carry an internal address out: it is refused.
func senders(m *smtpserver.Message, f rewriter) error {
	if err := checkFrom(&m.Header); err != nil {
		return err
	}
	if from, ok := f(m.From); ok && m.From != "" {
		m.From = from
	}
	return f.fields(&m.Header, senderFields)
}

// Inbound makes internal addresses of external ones in what the world sends:
// in the recipients, To and Cc. A rewritten recipient keeps the address that
// the sender used as original recipient (ORCPT) for delivery reports.
//
// It comes at the end of data: agents that judge recipients at RCPT see the
// external addresses.
type Inbound struct {
	Map *Map
	// When says which messages are meant. nil: all that the server takes.
	When func(s *smtpserver.Session, m *smtpserver.Message) bool
}

// Agent rewrites at the end of data.
func (in *Inbound) Agent() smtpserver.Agent {
	return smtpserver.Agent{Name: "address rewriting in", EndOfData: func(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		if in.When != nil && !in.When(s, m) {
			return nil
		}
		recipients(s, m, in.Map.In)
		return rewriter(in.Map.In).fields(&m.Header, []string{"To", "Cc"})
	}}
}

// recipients rewrites the envelope. Two recipients that become one stay one.
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
		policy.Admit(s, to) // the relay policy has let in the address that stands for it
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

// Masquerade puts Domain into the place of other domains in what Outbound
// covers: the masquerade domain of Windows' SMTP service.
type Masquerade struct {
	Domain string
	// Domains are those that are replaced, each with its subdomains. The
	// domain itself is never.
	Domains []string
	// Except are local parts that keep their domain, such as "root", for
	// which it matters where they are.
	Except []string
	// When says which messages are meant. nil: all that the server takes.
	When func(s *smtpserver.Session, m *smtpserver.Message) bool
}

// Validate says which setting is wrong.
func (q *Masquerade) Validate() error {
	if _, isAddress, err := canonical(q.Domain); err != nil || isAddress {
		return fmt.Errorf("rewrite: Masquerade.Domain: %q is no domain", q.Domain)
	}
	if len(q.Domains) == 0 {
		return errors.New("rewrite: Masquerade.Domains is empty")
	}
	for _, d := range q.Domains {
		if _, isAddress, err := canonical(d); err != nil || isAddress {
			return fmt.Errorf("rewrite: Masquerade.Domains: %q is no domain", d)
		}
	}
	return nil
}

// Agent rewrites at the end of data.
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
