package policy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/settings"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// An Alias says where the mail for an address goes: to one other address (an alias,
// or a contact with its target address), to several (a group), or to the same
// mailbox on another host (Route).
type Alias struct {
	// Members are the addresses that get the mail. They may be aliases too. If the
	// address itself is a member, its mailbox also gets the mail.
	Members []string
	// Mailboxes are further members that are not looked up again.
	Mailboxes []string
	// Owner is the address that gets the reports about the members of a group
	// (RFC 5321, 3.9.2). It becomes the reverse-path of the mail to them.
	Owner string
	// Hidden keeps the members from the senders of mail: no report names them. A
	// group that is Hidden should have an Owner, because otherwise failures are
	// not reported.
	Hidden bool
	// Route is the next hop of the address, for example the host that has its
	// mailbox. With members, it has no effect.
	Route queue.NextHop
}

// An AliasSource finds aliases. It must be safe for concurrent use and must
// limit its own time. *AliasFile and *ldap.Aliases implement it.
//
// A source may also implement Directory. Aliases.Exists then asks it, so that a RCPT does not
// cost a search for all members of a group.
type AliasSource interface {
	// Alias returns the alias of an address, or nil if it has none. The error
	// means that the source cannot answer at present, or wraps ErrAmbiguous or
	// ErrNoMembers.
	Alias(ctx context.Context, address string) (*Alias, error)
}

// Aliases replaces recipients that are aliases, contacts and groups by the
// addresses that get their mail. Its Hook does this for each message that the Queue
// accepts. As a Directory, it makes the aliases known recipients:
//
//	aliases := &policy.Aliases{Source: &policy.AliasFile{Path: "/etc/relay/aliases"}}
//	q.Hooks = append(q.Hooks, aliases.Hook())
//	domain.Directory = policy.AnyOf(users, aliases)
//
// Groups may have groups as members. Each address gets the mail once. A member that
// leads back to a group is skipped; if nothing else is left, the mail is refused with
// 550 5.4.6. Groups that are nested deeper than MaxDepth are refused with the same reply.
//
// # Groups with an owner
//
// The mail to the members of a group with an Owner is a separate message, with
// the owner as its reverse-path. The hook therefore routes such a recipient to
// the connector ListConnector, and its transport calls Deliver:
//
//	routing.Connector{Name: "lists", RoutedOnly: true, Transport: routing.TransportFunc(
//		func(ctx context.Context, j *routing.Job) []queue.Result {
//			return aliases.Deliver(ctx, j.Message, j.Recipients)
//		})}
//
// The owner also gets the reports about the members of its groups. Mail with the
// null reverse-path, such as reports, keeps it (RFC 5321, 4.5.5).
//
// The fields must not change once it is used. It is safe for concurrent use.
type Aliases struct {
	// Source finds the aliases.
	Source AliasSource
	// Domains limits the lookups to addresses in accepted domains. If it is nil,
	// every address is looked up.
	Domains *Domains
	// Queue gets the messages to the members of groups with an owner.
	Queue Submitter
	// ListConnector is the name of the connector for groups with an owner. If the
	// routing table does not have it, their mail waits. Default "lists".
	ListConnector string
	// MaxDepth limits how many groups lead from an address to a member. Default 10.
	MaxDepth int
	// MaxMembers limits the members of all groups of one message, with those of
	// their groups, before duplicates are removed. Default 10,000.
	MaxMembers int
}

// Validate returns an error that names each wrong setting.
func (a *Aliases) Validate() error {
	errs := []error{settings.Join("policy: Aliases.", settings.Number("MaxDepth", a.MaxDepth), settings.Number("MaxMembers", a.MaxMembers))}
	if settings.IsNil(a.Source) {
		errs = append(errs, errors.New("policy: Aliases.Source is not set"))
	} else if v, is := a.Source.(interface{ Validate() error }); is {
		errs = append(errs, v.Validate())
	}
	return errors.Join(errs...)
}

// Inherit passes the settings to Source if it has a method Inherit.
func (a *Aliases) Inherit(s smtpserver.Defaults) { s.Inherit(a.Source) }

// Exists implements Directory: it reports whether the address has an alias.
func (a *Aliases) Exists(ctx context.Context, address string) (bool, error) {
	if d, is := a.Source.(Directory); is && a.covers(address) {
		return d.Exists(ctx, address)
	}
	found, err := a.find(ctx, address)
	if errors.Is(err, ErrNoMembers) {
		return false, nil
	}
	return found != nil, err
}

func (a *Aliases) find(ctx context.Context, address string) (*Alias, error) {
	if !a.covers(address) {
		return nil, nil
	}
	return a.Source.Alias(ctx, address)
}

// covers reports whether the address is looked up: see Domains.
func (a *Aliases) covers(address string) bool {
	_, domain := addr.Split(address)
	return a.Domains == nil || a.Domains.Lookup(domain) != nil
}

// lookup is find with an error for the client.
func (a *Aliases) lookup(ctx context.Context, address string) (*Alias, error) {
	found, err := a.find(ctx, address)
	switch {
	case errors.Is(err, ErrNoMembers):
		return nil, fmt.Errorf("%w: aliases: %w", errUnknown, err)
	case errors.Is(err, ErrAmbiguous):
		return nil, fmt.Errorf("%w: aliases: %w", errAmbiguous, err)
	case err != nil:
		return nil, fmt.Errorf("%w: aliases: %w", errDirectory, err)
	}
	return found, nil
}

// expandedLabel marks a message whose recipients are the members of a group, so that
// they are not expanded again: two groups with owners could be members of each
// other.
const expandedLabel = "aliases/expanded"

// Hook returns the queue hook. Put it before Domains.Hook, so that the members get
// their routes. It skips recipients that have a Route.
func (a *Aliases) Hook() queue.Hook {
	return queue.Hook{Name: "aliases", Resolved: func(ctx context.Context, m *queue.Message) error {
		if m.Options.Labels[expandedLabel] != "" {
			return nil
		}
		left := a.maxMembers()
		for _, r := range m.Recipients[:len(m.Recipients):len(m.Recipients)] { // not those that it adds
			if r.Status != queue.Waiting || r.Route != (queue.NextHop{}) {
				continue
			}
			if err := a.replace(ctx, m, r, &left); err != nil {
				return err
			}
		}
		return nil
	}}
}

// replace replaces one recipient. left is how many members the message may still get.
func (a *Aliases) replace(ctx context.Context, m *queue.Message, r *queue.Recipient, left *int) error {
	found, err := a.lookup(ctx, r.Addr)
	switch {
	case err != nil:
		return err
	case found == nil:
		return nil
	case len(found.Members)+len(found.Mailboxes) == 0:
		r.Route = found.Route
		return nil
	case found.Owner != "" && m.From != "":
		r.Route = a.listHop()
		return nil
	}
	x, err := a.expand(ctx, r.Addr, found, m.From != "", left)
	if err != nil {
		return err
	}
	return x.into(m, r)
}

func (a *Aliases) listHop() queue.NextHop {
	name := a.ListConnector
	if name == "" {
		name = "lists"
	}
	return queue.NextHop{Connector: name, Destination: "(members)"}
}

// Deliver expands groups that have an owner, and submits a message to the members
// of each. A transport of the connector ListConnector calls it. If a message was
// submitted, but the process ended before the result was recorded, a repeated call
// submits no second one while the first is in the queue.
func (a *Aliases) Deliver(ctx context.Context, m *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	results := make([]queue.Result, len(rcpts))
	for i, r := range rcpts {
		if err := a.deliver(ctx, m, r); err != nil {
			results[i] = failedResult(err)
			continue
		}
		results[i] = queue.Done()
		results[i].Final = true // RFC 3461, 5.2.7.3: delivered to the list
	}
	return results
}

func (a *Aliases) deliver(ctx context.Context, m *queue.Message, r *queue.Recipient) error {
	if settings.IsNil(a.Queue) {
		return errors.New("policy: Aliases.Queue is not set")
	}
	found, err := a.lookup(ctx, r.Addr)
	if err != nil {
		return err
	}
	if found == nil || found.Owner == "" {
		return fmt.Errorf("%w: %s is no longer a group with an owner", errUnknown, r.Addr)
	}
	left := a.maxMembers()
	x, err := a.expand(ctx, r.Addr, found, false, &left) // groups within this one have its owner
	if err != nil {
		return err
	}
	list := &queue.Message{ID: listID(m.ID, r.Addr), From: found.Owner, Options: m.Options, Content: m.Content, Received: m.Received,
		Origin: m.Origin}
	list.Options.Return, list.Options.EnvelopeID = "", "" // the new sender did not ask for them
	list.Options.Labels = maps.Clone(m.Options.Labels)
	list.Options.SetLabel(expandedLabel, "yes")
	x.direct(list, m, r)
	if len(list.Recipients) == 0 {
		return nil // each member gets the message already
	}
	if err := queue.MayFinish(ctx); err != nil {
		return err
	}
	if err := a.Queue.Submit(ctx, list); err != nil && !errors.Is(err, queue.ErrExists) {
		return err
	}
	return nil
}

// listID returns the same ID for the same message and group.
func listID(id, group string) string {
	sum := sha256.Sum256([]byte(id + "\x00" + fold(group)))
	return "list-" + hex.EncodeToString(sum[:20])
}

// failedResult returns the result for an error: that of its reply, or a temporary
// one.
func failedResult(err error) queue.Result {
	var reply *smtp.SMTPError
	if errors.As(err, &reply) && reply.Code >= 500 {
		return queue.Result{Outcome: queue.Failure, Reply: *reply, Err: err}
	}
	return queue.Defer(err)
}
