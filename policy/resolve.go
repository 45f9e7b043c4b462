package policy

import (
	"context"
	"errors"
	"fmt"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// An OtherSystem is one, besides our own, that recipients of a [Domain] live
// on.
type OtherSystem struct {
	// Directory knows those who do.
	Directory Directory
	// Route is the way to them: a Connector of the routing table, or without
	// one a Destination, which is a domain or address literal that the table
	// finds the way to.
	Route queue.NextHop
}

// A resolution is what became of an address in an accepted domain.
type resolution struct {
	as    string        // the address that the queue gets
	route queue.NextHop // zero: by the routing table
	known bool          // to a directory; or it is a mailbox of ours that stands in
}

// resolve asks the directories for a recipient of the domain. The error is
// errUnknown, or errDirectory when one of them cannot answer.
func (d *Domain) resolve(ctx context.Context, address string) (resolution, error) {
	r := resolution{as: address}
	if d.Directory == nil || d.Kind == ExternalRelay {
		return r, nil
	}
	here, err := d.asks(ctx, d.Directory, address)
	if r.known = here; here || err != nil {
		return r, err
	}
	for _, o := range d.Elsewhere {
		there, err := d.asks(ctx, o.Directory, address)
		if err != nil {
			return r, err
		}
		if there {
			r.known, r.route = true, o.Route
			return r, nil
		}
	}
	switch {
	case d.CatchAll != "":
		r.as, r.known = d.CatchAll, true
	case d.Kind == Authoritative:
		return r, errUnknown
	default:
		r.route = d.Unresolved
	}
	return r, nil
}

func (d *Domain) asks(ctx context.Context, dir Directory, address string) (bool, error) {
	there, err := dir.Exists(ctx, simplest(address))
	if err != nil {
		return false, fmt.Errorf("%w: directory of %s: %w", errDirectory, d.Name, err)
	}
	return there, nil
}

// moves says whether the domain has anything to say on where its recipients
// are.
func (d *Domain) moves() bool {
	return len(d.Elsewhere) > 0 || d.CatchAll != "" || d.Unresolved != queue.NextHop{}
}

// Hook does for mail that comes by other doors than SMTP what [Relay] does at
// RCPT: it finds out on which system the recipients of domains with
// Elsewhere, Unresolved or CatchAll live. Above all the queue's own reports
// need it, which otherwise go where the routing table takes the domain:
//
//	q := &queue.Queue{Hooks: []queue.Hook{domains.Hook()}, ...}
//
// A recipient who has a Route keeps it. One who is unknown is left to the
// routing table. When a directory cannot answer, the message is refused with
// 451; a report then waits.
func (ds *Domains) Hook() queue.Hook {
	return queue.Hook{Name: "accepted domains", Resolved: func(ctx context.Context, m *queue.Message) error {
		for _, r := range m.Recipients {
			if err := ds.place(ctx, r); err != nil {
				return err
			}
		}
		return nil
	}}
}

// place sends a recipient to the system that it lives on.
func (ds *Domains) place(ctx context.Context, r *queue.Recipient) error {
	local, domain := addr.Split(r.Addr)
	d := ds.Lookup(domain)
	if d == nil || !d.moves() || r.Route != (queue.NextHop{}) || isPostmaster(local) {
		return nil
	}
	found, err := d.resolve(ctx, r.Addr)
	if errors.Is(err, errUnknown) {
		return nil
	}
	if err != nil {
		return err
	}
	if found.as != r.Addr {
		if r.Options.OriginalRecipient == "" {
			r.Options.OriginalRecipientType, r.Options.OriginalRecipient = originalType(r.Addr), r.Addr
		}
		r.Addr = found.as
	}
	r.Route = found.route
	return nil
}
