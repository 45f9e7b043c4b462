package rewrite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/header"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Mailbox sends the mail of many senders as one mailbox, for a provider that lets
// an account send only as itself. Most tenants of Microsoft 365 and Google do that.
//
// It replaces the reverse-path and the From field by Address. The display name stays,
// and the former authors become the Reply-To field, unless the message has one. So a
// reply still reaches them. Sender fields of other mailboxes are removed (RFC 5322,
// 3.6.2: with one author, Sender is not needed). The null reverse-path stays. A From
// field that is missing, repeated or malformed is replaced too: the message is not
// refused.
//
// Senders of Keep do not change. If only the reverse-path or only the author is one
// of them, it replaces the other one, instead of Address: the account that may send as
// this sender may have no right to send as Address.
type Mailbox struct {
	address string
	keep    map[string]bool // addresses, domains and "*.domain", as canonical returns them
}

// NewMailbox returns a Mailbox with an address. keep are addresses, domains, and
// patterns as "*.example.com" (the domain and its subdomains) that do not change.
func NewMailbox(address string, keep ...string) (*Mailbox, error) {
	_, isAddress, err := canonical(address)
	if err == nil && !isAddress {
		err = errors.New("it has no local part")
	}
	if err != nil {
		return nil, fmt.Errorf("rewrite: %q is not an address: %w", address, err)
	}
	b := &Mailbox{address: address, keep: make(map[string]bool)}
	for _, k := range append(keep, address) {
		base, sub := strings.CutPrefix(k, "*.")
		c, isAddress, err := canonical(base)
		if err == nil && sub && isAddress {
			err = errors.New("\"*.\" needs a domain")
		}
		if err != nil {
			return nil, fmt.Errorf("rewrite: sender %q: %w", k, err)
		}
		if sub {
			c = "*." + c
		}
		b.keep[c] = true
	}
	return b, nil
}

// Agent returns an agent that rewrites senders at the end of data.
func (b *Mailbox) Agent() smtpserver.Agent {
	return smtpserver.Agent{Name: "mailbox", EndOfData: func(_ context.Context, _ *smtpserver.Session, m *smtpserver.Message) error {
		return b.rewrite(m)
	}}
}

// Keeps reports whether a sender does not change.
func (b *Mailbox) Keeps(address string) bool {
	local, domain, ok := split(address)
	if !ok {
		return false
	}
	if b.keep[domain] || b.keep[localKey(local)+"@"+domain] {
		return true
	}
	for name := domain; name != ""; _, name, _ = strings.Cut(name, ".") {
		if b.keep["*."+name] {
			return true
		}
	}
	return false
}

func (b *Mailbox) rewrite(m *smtpserver.Message) error {
	from := readFrom(&m.Header)
	to := b.address
	switch {
	case m.From != "" && b.Keeps(m.From):
		to = m.From
	case len(from.authors) == 1 && b.Keeps(from.authors[0].Addr) && addr.IsPlain(from.authors[0].Addr):
		to = from.authors[0].Addr
	}
	if m.From != "" && !b.Keeps(m.From) {
		m.From = to
	}
	m.Header.Delete(func(f smtpserver.Field) bool { return f.Is("Sender") && !b.keepsAll(f.Value()) })
	if from.single && b.keepsAll(from.value) {
		return nil
	}
	// The place of the first From field; further ones are removed.
	field := "From: " + to + "\r\n"
	if name := from.displayName(); name != "" {
		field = "From: " + name + " <" + to + ">\r\n"
	}
	if replyTo := from.replyTo(); replyTo != "" && m.Header.Count("Reply-To") == 0 {
		field += "Reply-To: " + replyTo + "\r\n"
	}
	placed := false
	err := m.Header.Replace(func(f smtpserver.Field) (string, bool) {
		switch {
		case !f.Is("From"):
			return "", false
		case placed:
			return "", true
		}
		placed = true
		return field, true
	})
	if err == nil && !placed {
		err = m.Header.Append(field)
	}
	return err
}

// keepsAll reports whether a list of addresses has only senders that do not change.
func (b *Mailbox) keepsAll(value string) bool {
	list, err := header.Addresses(value)
	for _, a := range list {
		if !b.Keeps(a.Addr) {
			return false
		}
	}
	return err == nil && len(list) > 0
}

// A fromField is what the From fields of a message say.
type fromField struct {
	value   string           // of all fields, as one list, with folding
	authors []header.Address // nil if value is malformed
	single  bool             // there is one field
}

func readFrom(h *smtpserver.Header) fromField {
	var values []string
	for f := range h.All() {
		if f.Is("From") {
			_, value := header.Field(f).Cut()
			values = append(values, strings.Trim(value, " \t\r\n"))
		}
	}
	f := fromField{value: strings.Join(values, ",\r\n "), single: len(values) == 1}
	if list, err := header.Addresses(f.value); err == nil {
		f.authors = slices.DeleteFunc(list, func(a header.Address) bool { return a.InName })
	}
	return f
}

// replyTo returns the authors as the value of a Reply-To field, or "" if there are
// none. If programs may find different authors in the From field, the names are left
// out.
func (f fromField) replyTo() string {
	if len(f.authors) == 0 {
		return ""
	}
	if _, err := header.Recipients(f.value); err == nil {
		return f.value
	}
	var list []string
	for _, a := range f.authors {
		list = append(list, a.Addr)
	}
	return strings.Join(list, ",\r\n ")
}

// displayName returns the display name of the only author as written, or "" if there
// is none that can be written before another address.
func (f fromField) displayName() string {
	if len(f.authors) != 1 {
		return ""
	}
	name, ok := strings.CutSuffix(strings.TrimRight(f.value[:f.authors[0].Start], " \t\r\n"), "<")
	if name = strings.Trim(name, " \t\r\n"); !ok || name == "" {
		return ""
	}
	const probe = "a@example.org"
	list, err := header.Recipients(name + " <" + probe + ">")
	if err != nil || len(list) != 1 || list[0] != probe {
		return ""
	}
	return name
}
