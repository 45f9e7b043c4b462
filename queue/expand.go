package queue

import (
	"slices"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/chars"
)

// Expand replaces the recipient r of m by the members of a list or by the
// address of an alias. A Resolved hook calls it. r stays in m.Recipients with
// the status Expanded. Expand does not add a member that is a recipient
// already.
//
// The member of an alias (one member) gets all options of r. The members of a
// list get all options except NOTIFY=SUCCESS. A success is reported once for
// the list, as "expanded", and not for each member (RFC 3461, 5.2.7.2).
//
// The error is a *smtp.SMTPError for the hook to return: 550 5.1.1 if there are
// no members, and 550 5.4.6 for a forward loop. A forward loop means that all
// members are recipients already, and that one of them has been expanded or is
// r itself.
func (m *Message) Expand(r *Recipient, members ...string) error {
	if len(members) == 0 {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "The list has no members"}
	}
	options := r.Options
	if options.OriginalRecipient == "" {
		options.OriginalRecipient = r.Addr
		if !chars.ASCII(r.Addr) {
			options.OriginalRecipientType = smtp.DSNAddressTypeUTF8
		}
	}
	success := wants(r, smtp.DSNNotifySuccess)
	if len(members) > 1 && success {
		options.Notify = slices.DeleteFunc(slices.Clone(options.Notify), func(n smtp.DSNNotify) bool { return n == smtp.DSNNotifySuccess })
		if len(options.Notify) == 0 {
			options.Notify = []smtp.DSNNotify{smtp.DSNNotifyNever}
		}
	}
	have := make(map[addr.Key]*Recipient, len(m.Recipients)+len(members)) // the first of each address
	for _, o := range m.Recipients {
		if key := addr.KeyOf(o.Addr); have[key] == nil {
			have[key] = o
		}
	}
	added, back := 0, false
	for _, to := range members {
		key := addr.KeyOf(to)
		if o := have[key]; o != nil {
			back = back || o.Status == Expanded || o == r
			continue
		}
		o := &Recipient{Addr: to, Options: options}
		m.Recipients = append(m.Recipients, o)
		have[key] = o
		added++
	}
	if added == 0 && back {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 4, 6}, Message: "Forward loop: " + r.Addr + " leads back to itself"}
	}
	r.Status = Expanded
	r.Notified = len(members) == 1 || !success // no success report is due for r
	return nil
}
