package firewall

import (
	"fmt"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/header"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Organization is the default of Inbound.Fields and Outbound.Fields: the fields
// that the header firewall of Exchange removes. Do not change it.
var Organization = []string{"X-MS-Exchange-Organization-*", "X-MS-Exchange-Forest-*"}

// names are patterns for header field names: a name, or a prefix and "*".
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

// matchField is match for the name of a raw field.
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
		if header.CheckName(name) != nil || strings.Contains(name, "*") {
			return fmt.Errorf("firewall: %s: %q is neither a header field name nor a prefix of one followed by *", setting, p)
		}
	}
	return nil
}
