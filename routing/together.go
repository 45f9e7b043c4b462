package routing

import (
	"reflect"
	"strings"
)

// The checks in this file compare the connectors of a table with each other.

// fallbacks checks that each Fallback exists and that there is no loop.
func (b *builder) fallbacks() {
	isFallback := make(map[string]bool)
	for i, c := range b.t.connectors {
		b.at = called(c, i)
		seen := map[string]bool{c.Name: true}
		for at := c; at.Fallback != ""; {
			next := b.t.byName[at.Fallback]
			if next == nil {
				if at == c {
					b.fault("Fallback", "there is no connector %q", at.Fallback)
				}
				break
			}
			if isFallback[next.Name] = true; seen[next.Name] {
				b.fault("Fallback", "is a loop: the chain of fallbacks returns to %s", next.Name)
				break
			}
			seen[next.Name] = true
			at = next
		}
	}
	for i, c := range b.t.connectors {
		switch b.at = called(c, i); {
		case c.RoutedOnly && len(c.Spaces) > 0:
			b.fault("RoutedOnly", "contradicts Spaces, which contains %s", c.Spaces[0])
		case !c.RoutedOnly && len(c.Spaces) == 0 && !isFallback[c.Name]:
			b.fault("Spaces", "missing: a connector without address spaces must be RoutedOnly or the Fallback of another one")
		}
	}
}

// duplicates finds connectors that differ only in the name. One of them would
// never be used.
func (b *builder) duplicates() {
	bySpaces := make(map[string][]*connector)
	for _, c := range b.t.connectors {
		key := strings.Join(c.Spaces, "\n")
		others := bySpaces[key]
		bySpaces[key] = append(others, c)
		for _, d := range others {
			if key != "" && sameBesidesName(c.Connector, d.Connector) {
				b.at = c.Name
				b.fault("Name", "this connector differs from %s only in the name", d.Name)
			}
		}
	}
}

func sameBesidesName(x, y Connector) bool {
	if !identical(x.Transport, y.Transport) || !identical(x.Resolver, y.Resolver) || !identical(x.Auth, y.Auth) {
		return false
	}
	for _, c := range []*Connector{&x, &y} {
		c.Name, c.Transport, c.Resolver, c.Auth = "", nil, nil, nil // not compared by content: they may be in use
	}
	return reflect.DeepEqual(x, y)
}

// identical reports whether two values are equal. Values that cannot be
// compared, for example functions, count as different.
func identical(a, b any) bool {
	if a == nil || b == nil {
		return a == b
	}
	return reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
}
