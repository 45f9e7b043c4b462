package mtasts

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
)

// Mode is what a policy requires.
type Mode string

const (
	Enforce Mode = "enforce" // do not deliver to a host that does not satisfy the policy
	Testing Mode = "testing" // deliver, and report failures (RFC 8460)
	None    Mode = "none"    // the domain has removed its policy
)

const (
	maxPolicy = 64 << 10               // octets; RFC 8461, 3.3
	maxMaxAge = 31557600 * time.Second // a year; RFC 8461, 3.2
	maxMX     = 1000                   // patterns in one policy
)

// A Policy is a domain's MTA-STS policy: the MX hosts that mail can be sent
// to, and whether TLS is required. It is immutable.
type Policy struct {
	Mode   Mode
	MX     []string // host names or "*.example.net", in lower case
	MaxAge time.Duration
	Text   string // the policy as it was fetched
}

// ParsePolicy parses a policy (RFC 8461, 3.2) of at most 64 KiB with at most
// 1000 mx fields. Fields can be in any order. If a field other than mx occurs
// twice, the first one is used. Unknown fields are ignored. Two errors in
// policies are tolerated: a max_age above the maximum of 31557600 seconds is
// reduced to the maximum, and an mx that is not a host name is ignored if
// there are others. Any other error makes the policy invalid.
func ParsePolicy(text string) (*Policy, error) {
	if len(text) > maxPolicy {
		return nil, fmt.Errorf("policy of %d octets is longer than %d", len(text), maxPolicy)
	}
	p := &Policy{Text: text}
	seen := make(map[string]bool)
	var badMX error
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n \t")
		if line == "" {
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("%.60q is not a field", line)
		}
		value = strings.TrimSpace(value)
		if key == "mx" {
			badMX = cmp.Or(badMX, p.addMX(value))
			continue
		}
		if seen[key] {
			continue // the first one is used; RFC 8461, 3.2
		}
		if err := p.field(key, value); err != nil {
			return nil, err
		}
		seen[key] = true
	}
	switch {
	case !seen["version"]:
		return nil, errors.New("no version field")
	case !seen["mode"]:
		return nil, errors.New("no mode field")
	case !seen["max_age"]:
		return nil, errors.New("no max_age field")
	case len(p.MX) > maxMX:
		return nil, fmt.Errorf("more than %d mx fields", maxMX)
	case p.Mode != None && len(p.MX) == 0:
		return nil, cmp.Or(badMX, errors.New("no mx field"))
	}
	return p, nil
}

// addMX adds one mx field.
func (p *Policy) addMX(value string) error {
	mx, err := pattern(value)
	if err != nil {
		return fmt.Errorf("mx %.80q is not a host name or *.name", value)
	}
	p.MX = append(p.MX, mx)
	return nil
}

// field sets one field other than mx. Unknown fields are ignored.
func (p *Policy) field(key, value string) error {
	switch key {
	case "version":
		if value != "STSv1" {
			return fmt.Errorf("version %.20q is not STSv1", value)
		}
	case "mode":
		p.Mode = Mode(value)
		if p.Mode != Enforce && p.Mode != Testing && p.Mode != None {
			return fmt.Errorf("mode %.20q is not enforce, testing or none", value)
		}
	case "max_age":
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return fmt.Errorf("max_age %.20q is not a number of seconds", value)
		}
		p.MaxAge = time.Duration(min(n, uint64(maxMaxAge/time.Second))) * time.Second
	}
	return nil
}

// pattern returns a host name, or "*." and a host name, in canonical form. A
// policy contains only A-labels (RFC 8461, 3.2).
func pattern(mx string) (string, error) {
	if i := strings.IndexFunc(mx, func(r rune) bool { return r >= 0x80 }); i >= 0 {
		return "", errors.New("not ASCII")
	}
	name, wild := strings.CutPrefix(mx, "*.")
	name, err := addr.HostName(name)
	if wild && err == nil {
		name = "*." + name
	}
	return name, err
}

// Matches reports whether the policy lists an MX host. "*.example.net" matches
// names with exactly one more label (RFC 8461, 4.1).
func (p *Policy) Matches(host string) bool {
	host = addr.FoldDomain(host)
	_, parent, _ := strings.Cut(host, ".")
	for _, mx := range p.MX {
		if suffix, wild := strings.CutPrefix(mx, "*."); wild && suffix == parent || mx == host {
			return true
		}
	}
	return false
}

// parseRecord parses the TXT records of _mta-sts.DOMAIN and returns the id of
// the policy. It returns "" if there is no valid record or more than one (RFC
// 8461, 3.1).
func parseRecord(txts []string) string {
	id, found := "", 0
	for _, txt := range txts {
		version, rest, _ := strings.Cut(txt, ";")
		if strings.TrimRight(version, " \t") != "v=STSv1" {
			continue
		}
		found++
		for field := range strings.SplitSeq(rest, ";") {
			key, value, _ := strings.Cut(strings.TrimSpace(field), "=")
			if key == "id" && id == "" && validID(value) {
				id = value
			}
		}
	}
	if found != 1 {
		return ""
	}
	return id
}

func validID(id string) bool {
	if id == "" || len(id) > 32 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z') {
			return false
		}
	}
	return true
}
