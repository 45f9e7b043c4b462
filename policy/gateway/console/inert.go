package console

import (
	"fmt"
	"html/template"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/chars"
)

// maxText is the maximum number of characters of a text that a page shows.
const maxText = 1000

// inert returns a text from a stranger that cannot change how the page looks, cut
// after maxText characters. html/template escapes markup.
func inert(s string) string { return chars.Inert(s, maxText) }

// exact is a text in a page that must not change, for example the value of a
// hidden field. html/template still escapes it.
type exact string

// inertValue is the function that is added to each value of a template.
func inertValue(v any) any {
	switch v := v.(type) {
	case exact:
		return string(v)
	case template.HTML, template.HTMLAttr, template.URL:
		return v
	case string:
		return inert(v)
	case []string:
		return inert(strings.Join(v, ", "))
	case error:
		return inert(v.Error())
	case fmt.Stringer:
		return inert(v.String())
	}
	return v
}
