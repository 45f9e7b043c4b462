package policy

import (
	"context"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
)

var (
	errAliasLoop    = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 4, 6}, Message: "The address leads back to itself"}
	errAliasDeep    = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 4, 6}, Message: "The groups of the address are nested too deeply"}
	errAliasMembers = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 5, 3}, Message: "The address has too many members"}
)

// An expansion collects the mailboxes that an address leads to.
type expansion struct {
	a       *Aliases
	hasFrom bool // a report would have a recipient

	left  *int // members that may follow, of the message
	seen  map[string]bool
	self  bool // the address itself is one of the mailboxes
	first string
	found []member
}

// A member is a mailbox of an expansion.
type member struct {
	addr   string
	route  queue.NextHop
	hidden bool
}

// maxMembers returns MaxMembers or its default.
func (a *Aliases) maxMembers() int {
	most := a.MaxMembers
	setDefault(&most, 10_000)
	return most
}

// expand returns the mailboxes of an address, and subtracts the members from left.
func (a *Aliases) expand(ctx context.Context, address string, alias *Alias, hasFrom bool, left *int) (*expansion, error) {
	x := &expansion{a: a, hasFrom: hasFrom, left: left, first: fold(address), seen: map[string]bool{fold(address): true}}
	depth := a.MaxDepth
	setDefault(&depth, 10)
	if err := x.walk(ctx, address, alias, alias.Hidden, depth); err != nil {
		return nil, err
	}
	if len(x.found) == 0 && !x.self {
		return nil, errAliasLoop
	}
	return x, nil
}

// walk adds the members of an alias, and those of its groups. depth is how many
// levels may follow.
func (x *expansion) walk(ctx context.Context, address string, alias *Alias, hidden bool, depth int) error {
	if depth == 0 {
		return errAliasDeep
	}
	if *x.left -= len(alias.Members) + len(alias.Mailboxes); *x.left < 0 {
		return errAliasMembers
	}
	own := fold(address)
	for _, to := range alias.Mailboxes {
		if key := fold(to); !x.seen[key] {
			x.seen[key] = true
			x.found = append(x.found, member{addr: to, hidden: hidden})
		}
	}
	for _, to := range alias.Members {
		key := fold(to)
		switch {
		case key == own && own == x.first:
			x.self = true
		case key == own:
			x.found = append(x.found, member{addr: to, route: alias.Route, hidden: hidden})
		case !x.seen[key]:
			x.seen[key] = true
			if err := x.member(ctx, to, hidden, depth); err != nil {
				return err
			}
		}
	}
	return nil
}

// member adds a member, or its members if it is an alias. A group with an owner
// stays: its mail has another reverse-path.
func (x *expansion) member(ctx context.Context, to string, hidden bool, depth int) error {
	alias, err := x.a.lookup(ctx, to)
	switch {
	case err != nil:
		return err
	case alias == nil:
		x.found = append(x.found, member{addr: to, hidden: hidden})
	case len(alias.Members)+len(alias.Mailboxes) == 0:
		x.found = append(x.found, member{addr: to, route: alias.Route, hidden: hidden})
	case alias.Owner != "" && x.hasFrom:
		x.found = append(x.found, member{addr: to, route: x.a.listHop(), hidden: hidden})
	default:
		return x.walk(ctx, to, alias, hidden || alias.Hidden, depth-1)
	}
	return nil
}

// into replaces r by the mailboxes. If the address is one of them, r stays.
func (x *expansion) into(m *queue.Message, r *queue.Recipient) error {
	before := len(m.Recipients)
	members, news := x.missing(m)
	switch {
	case x.self && news == 0:
		return nil
	case x.self: // as one of several members, so that each success is reported once
		members = append(members, r.Addr)
	}
	if err := m.Expand(r, members...); err != nil {
		return err
	}
	if x.self {
		r.Status, r.Notified = queue.Waiting, false
	}
	x.finish(m.Recipients[before:])
	return nil
}

// missing returns the addresses of the mailboxes, and how many of them are not yet
// recipients of m.
func (x *expansion) missing(m *queue.Message) (members []string, news int) {
	have := make(map[string]string, len(m.Recipients))
	for _, r := range m.Recipients {
		have[fold(r.Addr)] = r.Addr
	}
	for _, f := range x.found {
		to, is := have[fold(f.addr)]
		if !is {
			to = f.addr
			news++
		}
		members = append(members, to) // in the same upper and lower case, so that Expand finds it
	}
	return members, news
}

// finish sets the routes of new recipients, and keeps hidden members out of
// reports.
func (x *expansion) finish(added []*queue.Recipient) {
	found := make(map[string]member, len(x.found))
	for _, f := range x.found {
		found[fold(f.addr)] = f
	}
	for _, r := range added {
		f := found[fold(r.Addr)]
		r.Route = f.route
		if f.hidden {
			r.Options.Notify = []smtp.DSNNotify{smtp.DSNNotifyNever}
			r.Options.OriginalRecipient, r.Options.OriginalRecipientType = "", ""
		}
	}
}

// direct makes the mailboxes the recipients of list, with that of the group itself if it is
// a member, except those that get the message m anyway. r is the recipient of m that is expanded. The states of the other
// recipients of m are not read: other deliveries change them at the same time.
func (x *expansion) direct(list, m *queue.Message, r *queue.Recipient) {
	have := make(map[string]bool, len(m.Recipients))
	for _, o := range m.Recipients {
		if o != r && fold(o.Addr) != x.first {
			have[fold(o.Addr)] = true
		}
	}
	for _, f := range x.found {
		if !have[fold(f.addr)] {
			list.Recipients = append(list.Recipients, &queue.Recipient{Addr: f.addr, Route: f.route})
		}
	}
	if x.self {
		list.Recipients = append(list.Recipients, &queue.Recipient{Addr: r.Addr})
	}
}
