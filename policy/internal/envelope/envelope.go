package envelope

import (
	"fmt"
	"mime"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/internal/mimetree"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Valid says what is wrong with an address from a configuration.
func Valid(address string) error {
	if err := addr.Mailbox(address, true); err != nil {
		return fmt.Errorf("address %q: %w", address, err)
	}
	return nil
}

// Add makes address a recipient, unless it is one. No report about it is ever
// sent to the message's sender, who did not ask for it.
func Add(s *smtpserver.Session, m *smtpserver.Message, address string) {
	AddLike(s, m, address, smtp.RcptOptions{Notify: []smtp.DSNNotify{smtp.DSNNotifyNever}})
}

// AddLike makes address a recipient with these options, unless it is one.
func AddLike(s *smtpserver.Session, m *smtpserver.Message, address string, opts smtp.RcptOptions) {
	for i := range m.Recipients {
		if addr.Equal(m.Recipients[i].Addr, address) {
			return
		}
	}
	policy.Admit(s, address)
	m.Recipients = append(m.Recipients[:len(m.Recipients):len(m.Recipients)], smtpserver.Recipient{Addr: address, Options: opts})
}

// Redirect sends the message to one address in place of all its recipients.
func Redirect(s *smtpserver.Session, m *smtpserver.Message, address string) {
	m.Recipients = nil
	Add(s, m, address)
}

// Quarantine sends the message to one address in place of its recipients, and
// names them in X-Quarantine-Recipient fields, so that it can be released. What
// it brings under that name is removed.
func Quarantine(s *smtpserver.Session, m *smtpserver.Message, address string) error {
	m.Header.Delete(func(f smtpserver.Field) bool { return f.Is("X-Quarantine-Recipient") })
	for _, r := range m.Recipients {
		if err := m.Header.Append("X-Quarantine-Recipient: <" + r.Addr + ">\r\n"); err != nil {
			return err
		}
	}
	Redirect(s, m, address)
	return nil
}

// Fold writes a header field with the value folded at spaces where a line
// would be longer than 78 characters (RFC 5322, 2.1.1).
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

// PrefixSubject puts tag before the subject, unless the subject has it. A tag
// that is not ASCII becomes an encoded-word. Of several Subject fields each
// gets it, since readers of mail differ in which one they show.
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

// hasTag says whether a subject has a tag where people see it: at its
// beginning, behind "Re:" and the names of lists.
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
