package rewrite

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
)

// An Entry pairs an internal with an external address or domain.
type Entry struct {
	// Internal is an address, a domain, or "*." and a domain, for all of its
	// subdomains.
	Internal string
	// External is an address where Internal is one, and a domain otherwise.
	External string
	// Except are internal addresses and domains that the entry does not hold
	// for.
	Except []string
	// OutboundOnly keeps the entry out of inbound rewriting. Entries for
	// subdomains are so always: nobody could say which one was meant.
	OutboundOnly bool
}

// A Map is a table of entries. An entry for the address counts before one for
// its domain, and that before one for subdomains, of which the longest
// counts. It is safe for concurrent use.
type Map struct {
	out, in map[string]*target // by address or domain
}

type target struct {
	address, domain string // one of them
	except          map[string]bool
}

// NewMap checks the entries and makes a Map of them. Each internal side may
// stand once, and each external side once, unless OutboundOnly. Addresses are
// ASCII; upper and lower case are the same in them.
func NewMap(entries ...Entry) (*Map, error) {
	m := &Map{out: make(map[string]*target, len(entries)), in: make(map[string]*target, len(entries))}
	for i, e := range entries {
		if err := m.add(e); err != nil {
			return nil, fmt.Errorf("rewrite: entry %d (%s, %s): %w", i+1, e.Internal, e.External, err)
		}
	}
	return m, nil
}

func (m *Map) add(e Entry) error {
	base, sub := strings.CutPrefix(e.Internal, "*.")
	internal, isAddress, err := canonical(base)
	if err != nil {
		return err
	}
	external, wantAddress, err := canonical(e.External)
	if err != nil {
		return err
	}
	if isAddress != wantAddress || (sub && isAddress) {
		return errors.New("an address goes with an address, a domain with a domain")
	}
	except := make(map[string]bool, len(e.Except))
	for _, x := range e.Except {
		c, _, err := canonical(x)
		if err != nil {
			return fmt.Errorf("exception: %w", err)
		}
		except[c] = true
	}
	if sub {
		internal = "*." + internal
	}
	if m.out[internal] != nil {
		return errors.New("the internal side stands twice")
	}
	m.out[internal] = newTarget(external, isAddress, except)
	if sub || e.OutboundOnly {
		return nil
	}
	if m.in[external] != nil {
		return errors.New("the external side stands twice: all but one must be OutboundOnly")
	}
	m.in[external] = newTarget(internal, isAddress, except)
	return nil
}

func newTarget(s string, isAddress bool, except map[string]bool) *target {
	if isAddress {
		return &target{address: s, except: except}
	}
	return &target{domain: s, except: except}
}

// canonical is the form in which addresses and domains are looked up.
func canonical(s string) (c string, isAddress bool, err error) {
	local, domain := addr.Split(s)
	if domain == "" {
		local, domain = "", s
	} else if err := addr.Mailbox(s, false); err != nil {
		return "", false, err
	}
	d, err := addr.Domain(domain)
	if err != nil {
		return "", false, fmt.Errorf("%q is no domain: %w", domain, err)
	}
	if local == "" {
		return d, false, nil
	}
	return localKey(local) + "@" + d, true, nil
}

// localKey is a local part in lower case, and without quotes where it needs
// none: "alice"@example.com is alice@example.com (RFC 5321, 4.1.2).
func localKey(local string) string {
	local = addr.FoldLocal(local)
	if len(local) > 2 && local[0] == '"' {
		if inner := local[1 : len(local)-1]; addr.Mailbox(inner+"@x", false) == nil && inner[0] != '"' {
			return inner
		}
	}
	return local
}

// Out is the external form of an address, and whether it has one.
func (m *Map) Out(address string) (string, bool) {
	local, domain := addr.Split(address)
	if domain == "" {
		return "", false
	}
	d, err := addr.Domain(domain)
	if err != nil {
		return "", false
	}
	key := localKey(local) + "@" + d
	t := m.out[key]
	if t == nil {
		t = m.out[d]
	}
	for name := d; t == nil; t = m.out["*."+name] {
		_, parent, ok := strings.Cut(name, ".")
		if !ok {
			return "", false
		}
		name = parent
	}
	if t.except[key] || t.except[d] {
		return "", false
	}
	return t.of(local), true
}

// In is the internal form of an address, and whether it has one.
func (m *Map) In(address string) (string, bool) {
	local, domain := addr.Split(address)
	if domain == "" {
		return "", false
	}
	d, err := addr.Domain(domain)
	if err != nil {
		return "", false
	}
	for _, k := range [...]string{localKey(local) + "@" + d, d} {
		if t := m.in[k]; t != nil {
			internal := t.of(local)
			if c, _, err := canonical(internal); err != nil || t.except[c] {
				return "", false
			}
			return internal, true
		}
	}
	return "", false
}

func (t *target) of(local string) string {
	if t.address != "" {
		return t.address
	}
	return local + "@" + t.domain
}
