package firewall

import (
	"fmt"
	"strings"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Organization are the fields that belong to an organisation where nothing
// else is set: those that Exchange's header firewall holds back.
var Organization = []string{"X-MS-Exchange-Organization-*", "X-MS-Exchange-Forest-*"}

// names are patterns for names of header fields: as they are, or the
// beginning and "*".
type names []string

func namesOr(patterns []string) names {
	if patterns == nil {
		return Organization
	}
	return patterns
}

func (ns names) match(name string) bool {
	for _, p := range ns {
		prefix, open := strings.CutSuffix(p, "*")
		if len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) && (open || len(name) == len(prefix)) {
			return true
		}
	}
	return false
}

// matchField is match for the name of a field as it stands.
func (ns names) matchField(f smtpserver.Field) bool {
	for _, p := range ns {
		prefix, open := strings.CutSuffix(p, "*")
		n := len(prefix)
		if len(f) > n && strings.EqualFold(string(f[:n]), prefix) && (open || f.Is(prefix)) {
			return true
		}
	}
	return false
}

func (ns names) validate(setting string) error {
	for _, p := range ns {
		name := strings.TrimSuffix(p, "*")
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' || r == '*' }) {
			return fmt.Errorf("firewall: %s: %q is no name of a header field, nor the beginning of one and *", setting, p)
		}
	}
	return nil
}
