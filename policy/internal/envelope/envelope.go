package envelope

import (
	"fmt"
	"mime"
	"slices"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/header"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/internal/mimetree"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Valid returns an error if an address from a configuration is not a valid
// mailbox.
func Valid(address string) error {
	if err := addr.Mailbox(address, true); err != nil {
		return fmt.Errorf("address %q: %w", address, err)
	}
	return nil
}

// Add adds recipients that m does not have yet. It sets NOTIFY=NEVER: the sender has
// not added them and gets no reports about them.
func Add(s *smtpserver.Session, m *smtpserver.Message, addresses ...string) {
	AddWithOptions(s, m, smtpserver.RcptOptions{RcptOptions: smtp.RcptOptions{Notify: []smtp.DSNNotify{smtp.DSNNotifyNever}}}, addresses...)
}

// AddWithOptions adds recipients with options that m does not have yet.
func AddWithOptions(s *smtpserver.Session, m *smtpserver.Message, opts smtpserver.RcptOptions, addresses ...string) {
	have := make(map[addr.Key]bool, len(m.Recipients)+len(addresses))
	for i := range m.Recipients {
		have[addr.KeyOf(m.Recipients[i].Addr)] = true
	}
	rcpts := m.Recipients[:len(m.Recipients):len(m.Recipients)]
	for _, a := range addresses {
		if key := addr.KeyOf(a); !have[key] {
			have[key] = true
			policy.Admit(s, a)
			rcpts = append(rcpts, smtpserver.Recipient{Addr: a, Options: opts})
		}
	}
	m.Recipients = rcpts
}

// Remove removes recipients.
func Remove(m *smtpserver.Message, addresses ...string) {
	gone := make(map[addr.Key]bool, len(addresses))
	for _, a := range addresses {
		gone[addr.KeyOf(a)] = true
	}
	m.Recipients = slices.DeleteFunc(slices.Clone(m.Recipients), func(r smtpserver.Recipient) bool { return gone[addr.KeyOf(r.Addr)] })
}

// Redirect replaces all recipients of m by one address.
func Redirect(s *smtpserver.Session, m *smtpserver.Message, address string) {
	m.Recipients = nil
	Add(s, m, address)
}

// Quarantine replaces all recipients of m by one address. It records the original
// recipients in X-Quarantine-Recipient fields, so that the message can be
// released. It removes existing fields of that name.
func Quarantine(s *smtpserver.Session, m *smtpserver.Message, address string) error {
	m.Header.Delete(func(f smtpserver.Field) bool { return f.Is("X-Quarantine-Recipient") })
	from := Addresses(m)
	for _, r := range m.Recipients {
		if err := m.Header.Append("X-Quarantine-Recipient: <" + r.Addr + ">\r\n"); err != nil {
			return err
		}
	}
	Redirect(s, m, address)
	s.Quarantined(address, from...)
	return nil
}

// Addresses returns the addresses of the recipients.
func Addresses(m *smtpserver.Message) []string {
	var all []string
	for i := range m.Recipients {
		all = append(all, m.Recipients[i].Addr)
	}
	return all
}

// Fold returns a header field. It folds the value at spaces, so that no line is
// longer than 78 characters if possible (RFC 5322, 2.1.1).
func Fold(name, value string) string {
	var b strings.Builder
	b.WriteString(name)
	b.WriteByte(':')
	line := len(name) + 1
	for _, word := range strings.Fields(value) {
		if line > len(name)+1 && line+1+len(word) > 78 {
			b.WriteString("\r\n\t")
			b.WriteString(word)
			line = 8 + len(word)
			continue
		}
		b.WriteByte(' ')
		b.WriteString(word)
		line += 1 + len(word)
	}
	b.WriteString("\r\n")
	return b.String()
}

// CheckMark checks the settings of an agent that marks messages: the name of a
// header field and a prefix for the subject. Both may be empty. owner begins the
// error: the package and the type that have the settings Header and Subject.
func CheckMark(owner, name, prefix string) error {
	if name != "" && header.CheckName(name) != nil {
		return fmt.Errorf("%s.Header is not a valid header field name", owner)
	}
	if strings.ContainsAny(prefix, "\r\n\x00") {
		return fmt.Errorf("%s.Subject contains a line break or NUL", owner)
	}
	return nil
}

// PrefixSubject adds tag before the subject, unless the subject already has it. A
// tag that is not ASCII becomes an encoded-word (RFC 2047). If there are several
// Subject fields, each gets the tag, because mail programs differ in which one
// they show. If there is none, PrefixSubject adds one.
func PrefixSubject(h *smtpserver.Header, tag string) error {
	plain, coded := strings.TrimSpace(tag), tag
	if mime.QEncoding.Encode("utf-8", tag) != tag {
		coded = mime.QEncoding.Encode("utf-8", plain) + " "
	}
	found := false
	err := h.Replace(func(f smtpserver.Field) (string, bool) {
		if !f.Is("Subject") {
			return "", false
		}
		found = true
		if hasTag(f.Value(), plain) {
			return "", false
		}
		name, rest, _ := strings.Cut(string(f), ":")
		return name + ": " + coded + strings.TrimLeft(rest, " \t"), true
	})
	if err == nil && !found {
		err = h.Append("Subject: " + strings.TrimSpace(coded) + "\r\n")
	}
	return err
}

// hasTag reports whether a subject has the tag near its beginning. "Re:" and names
// of mailing lists may precede it.
func hasTag(subject, tag string) bool {
	const near = 40
	for _, s := range [...]string{subject, mimetree.DecodeWords(subject)} {
		s = strings.TrimSpace(s)
		if strings.Contains(s[:min(len(s), near+len(tag))], tag) {
			return true
		}
	}
	return false
}
