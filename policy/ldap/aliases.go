package ldap

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// Aliases is a policy.AliasSource that finds groups, contacts and the hosts of
// mailboxes in LDAP servers. It uses the connections and the Filter of Directory.
//
//   - An entry with a target address (Contact) is a contact: its mail goes to that
//     address.
//   - An entry of one of the GroupClasses is a group. Its members are the entries
//     that Members names (DNs), and the addresses in MemberAddresses. A member
//     without an address, or with a malformed one, is skipped.
//   - Any other entry is a mailbox. If it has Host, its mail is routed to that
//     host; Alias returns its primary address (Mail) if the recipient is another
//     of its addresses and Primary is set.
//
// A group in a group is looked up with its own Owner, Hidden and members, so loops and
// bounds are those of policy.Aliases. It is safe for concurrent use; its fields must not
// change after the first use.
type Aliases struct {
	// Directory has the servers, the login and the search.
	Directory *Directory
	// GroupClasses are the object classes of groups. Default: group (Active
	// Directory), groupOfNames, groupOfUniqueNames, mailGroup, nisMailAlias.
	GroupClasses []string
	// The following are the names of attributes. Where several are given, all of
	// them are read.

	// Mail is the primary address of an entry. Default: mail.
	Mail string
	// Members has the DNs of the members of a group. Default: member, uniqueMember.
	// If Active Directory returns only a range of the members, the rest is
	// read too.
	Members []string
	// MemberAddresses has further members as addresses. Default: rfc822MailMember,
	// mgrpRFC822MailMember.
	MemberAddresses []string
	// Contact is the target address, with or without "SMTP:" before it.
	// Default: targetAddress, mailForwardingAddress.
	Contact []string
	// Host is the host of a mailbox. Default: mailHost.
	Host string
	// Owner is the owner of a group: a DN or an address. It becomes the sender of
	// the mail to the members; see policy.Alias. Default: none, because an
	// owner changes how the mail is sent. Active Directory has managedBy, others
	// have owner or mgrpErrorsTo.
	Owner string
	// Hidden is an attribute that, with the value TRUE, hides the members of a
	// group. Default: hideDLMembership.
	Hidden string
	// Primary replaces a recipient by the primary address of its mailbox.
	Primary bool
	// Route returns the next hop for a value of Host. If it is nil, the
	// routing table resolves the host as a domain.
	Route func(host string) queue.NextHop
	// MaxMembers limits the members of one group that are read. Default 10,000.
	MaxMembers int
}

// Validate returns an error if a setting is invalid. It does not connect to a
// server.
func (a *Aliases) Validate() error {
	switch {
	case a.Directory == nil:
		return errNoDirectory
	case a.MaxMembers < 0:
		return fmt.Errorf("ldap: Aliases.MaxMembers is negative (%d)", a.MaxMembers)
	}
	for _, name := range a.attributes() {
		if strings.ContainsAny(name, " ;=*()\x00") || name == "" {
			return fmt.Errorf("ldap: Aliases: %q is not the name of an attribute", name)
		}
	}
	return a.Directory.Validate()
}

func or(list, standard []string) []string {
	if len(list) > 0 {
		return list
	}
	return standard
}

func orOne(s, standard string) string {
	if s != "" {
		return s
	}
	return standard
}

func (a *Aliases) groupClasses() []string {
	return or(a.GroupClasses, []string{"group", "groupOfNames", "groupOfUniqueNames", "mailGroup", "nisMailAlias"})
}
func (a *Aliases) members() []string { return or(a.Members, []string{"member", "uniqueMember"}) }
func (a *Aliases) memberAddresses() []string {
	return or(a.MemberAddresses, []string{"rfc822MailMember", "mgrpRFC822MailMember"})
}
func (a *Aliases) contact() []string {
	return or(a.Contact, []string{"targetAddress", "mailForwardingAddress"})
}
func (a *Aliases) mail() string   { return orOne(a.Mail, "mail") }
func (a *Aliases) host() string   { return orOne(a.Host, "mailHost") }
func (a *Aliases) hidden() string { return orOne(a.Hidden, "hideDLMembership") }

// attributes returns the attributes that are read of an entry.
func (a *Aliases) attributes() []string {
	list := []string{"objectClass", a.mail(), a.host(), a.hidden()}
	list = append(list, a.members()...)
	list = append(list, a.memberAddresses()...)
	list = append(list, a.contact()...)
	if a.Owner != "" {
		list = append(list, a.Owner)
	}
	return list
}

// Exists implements policy.Directory: it reports whether Alias returns an alias. Of the
// members of a group, it searches only for the first one that has an address, because
// strangers can ask for a group in each RCPT.
func (a *Aliases) Exists(ctx context.Context, address string) (found bool, err error) {
	if a.Directory == nil {
		return false, errNoDirectory
	}
	err = a.Directory.with(ctx, func(ctx context.Context, c *ldap.Conn) error {
		e, err := a.Directory.entry(ctx, c, address, a.attributes())
		if err != nil || e == nil {
			return err
		}
		if a.contactOf(e) == nil && a.isGroup(e) {
			found, err = a.hasMember(ctx, c, e)
			return err
		}
		one, err := a.alias(ctx, c, e, address)
		found = one != nil
		return err
	})
	return found && err == nil, err
}

var errNoDirectory = errors.New("ldap: Aliases.Directory is not set")

// Alias implements policy.AliasSource. The error wraps policy.ErrAmbiguous if several
// entries have the address, also if Directory.AllowSeveral is set.
func (a *Aliases) Alias(ctx context.Context, address string) (*policy.Alias, error) {
	if a.Directory == nil {
		return nil, errNoDirectory
	}
	var found *policy.Alias
	err := a.Directory.with(ctx, func(ctx context.Context, c *ldap.Conn) error {
		entry, err := a.Directory.entry(ctx, c, address, a.attributes())
		if err != nil || entry == nil {
			return err
		}
		found, err = a.alias(ctx, c, entry, address)
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// alias returns the alias of an entry, or nil if its mail needs no alias.
func (a *Aliases) alias(ctx context.Context, c *ldap.Conn, e *ldap.Entry, address string) (*policy.Alias, error) {
	if targets := a.contactOf(e); targets != nil {
		return &policy.Alias{Members: targets}, nil
	}
	if a.isGroup(e) {
		return a.group(ctx, c, e)
	}
	mail := e.GetEqualFoldAttributeValue(a.mail())
	if a.Primary && mail != "" && !strings.EqualFold(mail, address) {
		return &policy.Alias{Members: []string{mail}}, nil
	}
	if host := e.GetEqualFoldAttributeValue(a.host()); host != "" {
		if a.Route != nil {
			return &policy.Alias{Route: a.Route(host)}, nil
		}
		return &policy.Alias{Route: queue.NextHop{Destination: strings.ToLower(host)}}, nil
	}
	return nil, nil
}

// contactOf returns the target addresses of a contact; nil if the entry is none.
func (a *Aliases) contactOf(e *ldap.Entry) []string {
	for _, name := range a.contact() {
		if targets := addresses(e.GetEqualFoldAttributeValues(name)); len(targets) > 0 {
			return targets
		}
	}
	return nil
}

func (a *Aliases) isGroup(e *ldap.Entry) bool {
	for _, class := range e.GetEqualFoldAttributeValues("objectClass") {
		for _, group := range a.groupClasses() {
			if strings.EqualFold(class, group) {
				return true
			}
		}
	}
	return false
}

// addresses returns the values without "SMTP:" before them. Values of other types
// (X400:) are not addresses.
func addresses(values []string) (list []string) {
	for _, v := range values {
		if len(v) > 5 && strings.EqualFold(v[:5], "smtp:") {
			v = v[5:]
		}
		if v = strings.TrimSpace(v); strings.Contains(v, "@") && !strings.Contains(v, ":") {
			list = append(list, v)
		}
	}
	return list
}

// mailboxes does the same as addresses, without malformed addresses. One of them would
// make the mail to all members of a group with an owner fail.
func mailboxes(values []string) (list []string) {
	for _, v := range addresses(values) {
		if addr.Mailbox(v, true) == nil {
			list = append(list, v)
		}
	}
	return list
}
