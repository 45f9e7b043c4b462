package routing

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// byTheRule chooses a connector by a direct implementation of the rule,
// without an index. It removes the connectors that are too small, and keeps
// those that are enabled, in scope and match. The most specific space wins,
// then the lowest cost, then the name. If the message is in the scope of an
// exclusive connector, less specific spaces are removed.
func byTheRule(connectors []Connector, m *queue.Message, domain string) string {
	type fit struct {
		name           string
		specific, cost int
	}
	var fits []fit
	least := 0
	for _, c := range connectors {
		inScope := len(c.Scope.Identities) == 0 || slices.Contains(c.Scope.Identities, m.Origin.Identity)
		if !inScope {
			continue
		}
		able := !c.Disabled && (c.MaxMessageSize == 0 || m.Content.Size() <= c.MaxMessageSize)
		for _, s := range c.Spaces {
			name, cost := s, 1
			if at := strings.IndexByte(s, ';'); at >= 0 {
				name = s[:at]
				fmt.Sscan(s[at+1:], &cost)
			}
			specific := -1
			below, isBelow := strings.CutPrefix(name, "*.")
			switch {
			case name == "*":
				specific = 0
			case isBelow && (domain == below || strings.HasSuffix(domain, "."+below)):
				specific = 10 * (1 + strings.Count(below, "."))
			case name == domain:
				specific = 10*(1+strings.Count(name, ".")) + 1
			}
			if specific >= 0 && able {
				fits = append(fits, fit{c.Name, specific, cost})
			}
			if c.Exclusive {
				least = max(least, specific)
			}
		}
	}
	fits = slices.DeleteFunc(fits, func(f fit) bool { return f.specific < least })
	if len(fits) == 0 {
		return ""
	}
	return slices.MinFunc(fits, func(a, b fit) int {
		return cmp.Or(b.specific-a.specific, a.cost-b.cost, strings.Compare(a.name, b.name))
	}).name
}

// A thousand random tables choose by the rule.
func TestTableFollowsTheRule(t *testing.T) {
	domains := []string{"com", "a.com", "b.a.com", "c.b.a.com", "net", "a.net", "b.a.net", "x.b.a.net"}
	for seed := range uint64(1000) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var connectors []Connector
		for i := range 1 + rnd.IntN(12) {
			c := Connector{Name: fmt.Sprintf("c%02d", rnd.IntN(90)*100+i), Disabled: rnd.IntN(8) == 0, Exclusive: rnd.IntN(4) == 0, Transport: &postman{}}
			if rnd.IntN(4) == 0 {
				c.MaxMessageSize = int64(1 + rnd.IntN(20))
			}
			if rnd.IntN(4) == 0 {
				c.Scope.Identities = []string{"alice"}
			}
			seen := map[string]bool{}
			for range 1 + rnd.IntN(4) {
				space := []string{"*", "", "*."}[rnd.IntN(3)]
				if space != "*" {
					space += domains[rnd.IntN(len(domains))]
				}
				if seen[space] {
					continue
				}
				seen[space] = true
				c.Spaces = append(c.Spaces, fmt.Sprintf("%s;%d", space, 1+rnd.IntN(4)))
			}
			connectors = append(connectors, c)
		}
		tb := table(t, connectors...)
		for range 20 {
			m := &queue.Message{Content: queue.Bytes(make([]byte, rnd.IntN(25)))}
			if rnd.IntN(2) == 0 {
				m.Origin.Identity = "alice"
			}
			domain := domains[rnd.IntN(len(domains))]
			hop, err := (&Router{Table: tb}).Route(t.Context(), m, &queue.Recipient{Addr: "x@" + domain})
			if want := byTheRule(connectors, m, domain); hop.Connector != want || (err != nil) != (want == "") {
				t.Fatalf("seed %d, %s: chose %q (%v), the rule says %q\n%+v", seed, domain, hop.Connector, err, want, connectors)
			}
		}
	}
}
