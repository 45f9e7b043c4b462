package tracking

import (
	"strconv"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/envelope"
)

// formatLabels returns the labels for the column custom-data: "key=value; key=value", in the order of the
// keys. A value that contains a semicolon or a quotation mark, or begins or ends with
// a space, is quoted as in Go.
func formatLabels(ls map[string]string) string {
	var b strings.Builder
	for i, key := range envelope.SortedKeys(ls) {
		if i > 0 {
			b.WriteString("; ")
		}
		value := ls[key]
		if strings.ContainsAny(value, `;"`) || strings.TrimSpace(value) != value {
			value = strconv.Quote(value)
		}
		b.WriteString(key + "=" + value)
	}
	return b.String()
}

// parseLabels reads the labels in the column custom-data. It ignores what
// formatLabels does not write.
func parseLabels(s string) map[string]string {
	var ls map[string]string
	for s != "" {
		key, rest, ok := strings.Cut(s, "=")
		if !ok {
			break
		}
		var value string
		if quoted, err := strconv.QuotedPrefix(rest); err == nil && rest[0] == '"' {
			rest = rest[len(quoted):]
			value, _ = strconv.Unquote(quoted)
		} else {
			n := strings.IndexByte(rest, ';')
			if n < 0 {
				n = len(rest)
			}
			value, rest = rest[:n], rest[n:]
		}
		s = strings.TrimPrefix(rest, "; ")
		if key == priorityData {
			continue
		}
		if ls == nil {
			ls = make(map[string]string)
		}
		ls[key] = value
	}
	return ls
}
