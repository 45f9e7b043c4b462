package rewrite

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
)

// An Entry maps an internal address or domain to an external one.
type Entry struct {
	// Internal is an address, a domain, or "*." followed by a domain. The last
	// form matches all subdomains of the domain, but not the domain itself.
	Internal string
	// External is an address if Internal is an address, and a domain
	// otherwise.
	External string
	// Except are internal addresses and domains to which the entry does not
	// apply.
	Except []string
	// OutboundOnly excludes the entry from inbound rewriting. An entry for
	// subdomains is never used for inbound rewriting, because the external
	// address does not show the subdomain.
	OutboundOnly bool
}

// A Map is a table of entries. If several entries match an address, one of them
// applies: an entry for the address, otherwise an entry for its domain,
// otherwise the entry for subdomains that has the longest domain. A Map is safe
// for concurrent use.
type Map struct {
	out, in map[string]*target // by address or domain
}

type target struct {
	address, domain string // one of them
	except          map[string]bool
}

// NewMap checks the entries and returns a Map of them. The error names the first
// entry that is wrong. Each Internal value may occur only once. Each External
// value may occur only once among the entries that are used for inbound
// rewriting. Addresses must be ASCII. Upper and lower case are the same.
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
		return errors.New("the fields Internal and External must be two addresses or two domains")
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
		return errors.New("another entry has the same Internal")
	}
	m.out[internal] = newTarget(external, isAddress, except)
	if sub || e.OutboundOnly {
		return nil
	}
	if m.in[external] != nil {
		return errors.New("another entry has the same External: all but one must be OutboundOnly")
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

// canonical returns the form in which an address or domain is looked up.
func canonical(s string) (c string, isAddress bool, err error) {
	local, domain := addr.Split(s)
	if domain == "" {
		local, domain = "", s
	} else if err := addr.Mailbox(s, false); err != nil {
		return "", false, err
	}
	d, err := addr.Domain(domain)
	if err != nil {
		return "", false, fmt.Errorf("%q is not a domain: %w", domain, err)
	}
	if local == "" {
		return d, false, nil
	}
	return localKey(local) + "@" + d, true, nil
}

// localKey returns a local part in lower case, and without quotes that it does
// not need: "alice"@example.com is alice@example.com (RFC 5321, 4.1.2).
func localKey(local string) string {
	local = addr.FoldLocal(local)
	if len(local) > 2 && local[0] == '"' {
		if inner := local[1 : len(local)-1]; addr.Mailbox(inner+"@x", false) == nil && inner[0] != '"' {
			return inner
		}
	}
	return local
}

// split returns the local part and the normalized domain of an address. ok is
// false if it has no valid domain.
func split(address string) (local, domain string, ok bool) {
	local, domain = addr.Split(address)
	if domain == "" {
		return "", "", false
	}
	domain, err := addr.Domain(domain)
	return local, domain, err == nil
}

// Out returns the external form of an internal address. The result is false if
// no entry applies to the address.
func (m *Map) Out(address string) (string, bool) {
	local, d, ok := split(address)
	if !ok {
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

// In returns the internal form of an external address. The result is false if
// no entry applies to the address.
func (m *Map) In(address string) (string, bool) {
	local, d, ok := split(address)
	if !ok {
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
