package policy

import (
	"context"
	"errors"
	"fmt"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// An OtherSystem is another mail system that has recipients of a [Domain].
type OtherSystem struct {
	// Directory lists the recipients of the system.
	Directory Directory
	// Route is the next hop to the system: a Connector of the routing table,
	// or only a Destination, which is a domain or address literal that the
	// table resolves.
	Route queue.NextHop
}

// resolution is the result for an address in an accepted domain.
type resolution struct {
	as    string        // the address that the queue gets
	route queue.NextHop // zero: the routing table decides
	known bool          // a directory lists it, or the CatchAll replaces it
}

// resolve looks a recipient up in the directories of the domain. The error is
// errUnknown, errAmbiguous, or errDirectory if a directory cannot answer.
func (d *Domain) resolve(ctx context.Context, address string) (resolution, error) {
	r := resolution{as: address}
	if d.Directory == nil || d.Kind == ExternalRelay {
		return r, nil
	}
	here, err := d.asks(ctx, d.Directory, address)
	if r.known = here; here || err != nil {
		return r, err
	}
	for _, o := range d.SharedWith {
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
	if errors.Is(err, ErrAmbiguous) {
		return false, fmt.Errorf("%w: directory of %s: %w", errAmbiguous, d.Name, err)
	}
	if err != nil {
		return false, fmt.Errorf("%w: directory of %s: %w", errDirectory, d.Name, err)
	}
	return there, nil
}

// hasRoutes reports whether the domain has settings that change where its
// recipients are delivered.
func (d *Domain) hasRoutes() bool {
	return len(d.SharedWith) > 0 || d.CatchAll != "" || d.Unresolved != queue.NextHop{}
}

// Hook returns a queue hook for mail that was not received by SMTP. Like
// [Relay] at RCPT, it looks up the recipients of domains that have SharedWith,
// Unresolved or CatchAll, and sets their next hops. The reports that the queue
// makes need this hook. Without it, they are sent to the next hop that the
// routing table has for the domain:
//
//	q := &queue.Queue{Hooks: []queue.Hook{domains.Hook()}, ...}
//
// A recipient that already has a Route keeps it. The hook does not refuse
// unknown or ambiguous recipients: their mail is sent to the next hop that the routing table
// has. If a directory cannot answer, the hook refuses the message with 451; a
// report then waits.
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

// place sets the next hop of a recipient to the system that has it.
func (ds *Domains) place(ctx context.Context, r *queue.Recipient) error {
	local, domain := addr.Split(r.Addr)
	d := ds.Lookup(domain)
	if d == nil || !d.hasRoutes() || r.Route != (queue.NextHop{}) || isPostmaster(local) {
		return nil
	}
	found, err := d.resolve(ctx, r.Addr)
	if errors.Is(err, errUnknown) || errors.Is(err, errAmbiguous) {
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
