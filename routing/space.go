package routing

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
)

// A space is a parsed address space.
type space struct {
	text   string // as given
	domain string // A-label form; empty for "*" and "--"
	below  bool   // "*.domain": with all subdomains
	all    bool   // "*"
	ours   bool   // "--"
	cost   int
}

const maxCost = 100 // Exchange: 1 to 100

// parseSpace reads "type:space;cost".
func parseSpace(text string) (space, error) {
	s := space{text: text, cost: 1}
	rest := strings.TrimSpace(text)
	if head, cost, ok := strings.Cut(rest, ";"); ok {
		n, err := strconv.Atoi(strings.TrimSpace(cost))
		if err != nil || n < 1 || n > maxCost {
			return s, fmt.Errorf("%q: the cost is not a number from 1 to %d", text, maxCost)
		}
		s.cost, rest = n, strings.TrimSpace(head)
	}
	if kind, name, ok := strings.Cut(rest, ":"); ok && !strings.HasPrefix(rest, "[") {
		if !strings.EqualFold(strings.TrimSpace(kind), "smtp") {
			return s, fmt.Errorf("%q: the type of an address space can only be SMTP", text)
		}
		rest = strings.TrimSpace(name)
	}
	switch {
	case rest == "*":
		s.all = true
		return s, nil
	case rest == "--":
		s.ours = true
		return s, nil
	}
	var err error
	s.domain, s.below, err = parsePattern(rest)
	if err != nil {
		return s, fmt.Errorf("%q: %w", text, err)
	}
	return s, nil
}

// parsePattern reads "example.com", "*.example.com" or "[192.0.2.1]". Spaces
// around it are ignored.
func parsePattern(text string) (domain string, below bool, err error) {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "[") {
		a, err := parseLiteral(text)
		if err == nil && a.Zone() != "" {
			err = fmt.Errorf("%q has a zone, which is not allowed in a recipient address", text)
		}
		return strings.ToLower(literal(a)), false, err
	}
	name, below := strings.CutPrefix(text, "*.")
	if strings.Contains(name, "*") {
		return "", false, fmt.Errorf("* is allowed only alone or as *. before a domain")
	}
	domain, err = hostName(name)
	return domain, below, err
}

// canonicalDomain returns the domain of a recipient in canonical form, in
// which it is compared with address spaces.
func canonicalDomain(address string) (string, error) {
	_, d := addr.Split(address)
	if d == "" {
		return "", fmt.Errorf("no domain")
	}
	return addr.Domain(d)
}
