package ldap

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/bridgehead-mail/bridgehead/policy"
)

// group returns the members of a group. Members that are mailboxes without a host of
// their own are not looked up again.
func (a *Aliases) group(ctx context.Context, c *ldap.Conn, e *ldap.Entry) (*policy.Alias, error) {
	g := &policy.Alias{Hidden: strings.EqualFold(e.GetEqualFoldAttributeValue(a.hidden()), "TRUE")}
	for _, name := range a.memberAddresses() {
		g.Members = append(g.Members, mailboxes(e.GetEqualFoldAttributeValues(name))...)
	}
	dns, err := a.memberDNs(ctx, c, e)
	if err != nil {
		return nil, err
	}
	for _, dn := range dns {
		if err := a.addMember(ctx, c, g, dn); err != nil {
			return nil, err
		}
	}
	if a.Owner != "" {
		if g.Owner, err = a.owner(ctx, c, e); err != nil {
			return nil, err
		}
	}
	if len(g.Members)+len(g.Mailboxes) == 0 {
		return nil, fmt.Errorf("ldap: %s: %w", e.DN, policy.ErrNoMembers)
	}
	return g, nil
}

// hasMember reports whether a group has a member with an address.
func (a *Aliases) hasMember(ctx context.Context, c *ldap.Conn, e *ldap.Entry) (bool, error) {
	for _, name := range a.memberAddresses() {
		if len(mailboxes(e.GetEqualFoldAttributeValues(name))) > 0 {
			return true, nil
		}
	}
	var g policy.Alias
	for _, name := range a.members() {
		values := e.GetEqualFoldAttributeValues(name)
		if first, next := rangeOf(e, name); next > 0 {
			values = first
		}
		for _, dn := range values {
			if err := a.addMember(ctx, c, &g, dn); err != nil || len(g.Members)+len(g.Mailboxes) > 0 {
				return err == nil, err
			}
		}
	}
	return false, nil
}

// memberDNs returns the DNs of the members.
func (a *Aliases) memberDNs(ctx context.Context, c *ldap.Conn, e *ldap.Entry) (dns []string, err error) {
	most := a.MaxMembers
	if most == 0 {
		most = 10_000
	}
	for _, name := range a.members() {
		values := e.GetEqualFoldAttributeValues(name)
		if ranged, next := rangeOf(e, name); next > 0 {
			if values, err = a.rest(ctx, c, e.DN, name, ranged, next, most); err != nil {
				return nil, err
			}
		}
		if dns = append(dns, values...); len(dns) > most {
			return nil, fmt.Errorf("ldap: the group %s has more than %d members (MaxMembers)", e.DN, most)
		}
	}
	return dns, nil
}

// rangeOf returns the values of an attribute of which Active Directory has returned a
// range, as in "member;range=0-1499", and the number of the next value. It returns 0 if
// there is no range, or if it is the last one.
func rangeOf(e *ldap.Entry, name string) (values []string, next int) {
	for _, attribute := range e.Attributes {
		base, option, is := strings.Cut(attribute.Name, ";")
		if !is || !strings.EqualFold(base, name) || len(option) < 6 || !strings.EqualFold(option[:6], "range=") {
			continue
		}
		_, last, _ := strings.Cut(option[6:], "-")
		n, err := strconv.Atoi(last)
		if err != nil { // "*": the last range
			return attribute.Values, 0
		}
		return attribute.Values, n + 1
	}
	return nil, 0
}

// rest reads the ranges that follow the values.
func (a *Aliases) rest(ctx context.Context, c *ldap.Conn, dn, name string, values []string, next, most int) ([]string, error) {
	for next > 0 && len(values) <= most {
		r, err := a.Directory.find(ctx, c, dn, ldap.ScopeBaseObject, 1, "(objectClass=*)", []string{fmt.Sprintf("%s;range=%d-*", name, next)})
		if err != nil {
			return nil, err
		}
		if len(r.Entries) != 1 {
			return nil, fmt.Errorf("ldap: the group %s does not exist any more", dn)
		}
		more, after := rangeOf(r.Entries[0], name)
		if after > 0 && after <= next {
			return nil, fmt.Errorf("ldap: the server repeats a range of the members of %s", dn)
		}
		values, next = append(values, more...), after
	}
	return values, nil
}

// read returns an entry, or nil if it does not exist.
func (a *Aliases) read(ctx context.Context, c *ldap.Conn, dn string) (*ldap.Entry, error) {
	r, err := a.Directory.find(ctx, c, dn, ldap.ScopeBaseObject, 1, "(objectClass=*)", a.attributes())
	switch {
	case ldap.IsErrorAnyOf(err, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInvalidDNSyntax):
		return nil, nil
	case err != nil:
		return nil, err
	case len(r.Entries) == 0:
		return nil, nil
	}
	return r.Entries[0], nil
}

// addMember adds the entry dn. Only groups, contacts and mailboxes on other hosts are
// looked up again, so a large group costs one search for each member.
func (a *Aliases) addMember(ctx context.Context, c *ldap.Conn, g *policy.Alias, dn string) error {
	e, err := a.read(ctx, c, dn)
	if err != nil || e == nil {
		return err
	}
	if targets := a.contactOf(e); targets != nil {
		g.Members = append(g.Members, mailboxes(targets)...)
		return nil
	}
	mails := mailboxes(e.GetEqualFoldAttributeValues(a.mail()))
	switch {
	case len(mails) == 0:
	case a.isGroup(e), e.GetEqualFoldAttributeValue(a.host()) != "":
		g.Members = append(g.Members, mails[0])
	default:
		g.Mailboxes = append(g.Mailboxes, mails[0])
	}
	return nil
}

// owner returns the address of the owner of a group, or "" if it has none.
func (a *Aliases) owner(ctx context.Context, c *ldap.Conn, e *ldap.Entry) (string, error) {
	value := e.GetEqualFoldAttributeValue(a.Owner)
	if value == "" {
		return "", nil
	}
	if list := mailboxes([]string{strings.TrimPrefix(value, "mailto:")}); len(list) == 1 && !strings.Contains(value, "=") {
		return list[0], nil
	}
	owner, err := a.read(ctx, c, value)
	if err != nil || owner == nil {
		return "", err
	}
	if list := mailboxes(owner.GetEqualFoldAttributeValues(a.mail())); len(list) > 0 {
		return list[0], nil
	}
	return "", nil
}
