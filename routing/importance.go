package routing

import (
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/header"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// headerPriorityBytes is how much of a message is searched for its priority. Programs
// write these fields near the end of the fields that they add, before the body; trace
// fields of many relays fit before them.
const headerPriorityBytes = 64 << 10

// headerPriority returns the priority that the author has given to a message in its
// header: in Importance (RFC 4021, 2.1.54), X-Priority (1 to 5), or Priority (RFC
// 4021, 2.1.55), in this order. A field with another value does not count. If there is
// none, or the content cannot be read, the priority is normal.
func headerPriority(m *queue.Message) Priorities {
	if m.Content == nil {
		return NormalPriority
	}
	b := make([]byte, min(m.Content.Size(), headerPriorityBytes))
	n, _ := m.Content.ReadAt(b, 0) // a fault of the content is found when it is sent
	section := header.Of(b[:n], int64(n) < m.Content.Size())
	for _, name := range []string{"Importance", "X-Priority", "Priority"} {
		if p := headerPriorities[firstWord(header.Get(section, name))]; p != 0 {
			return p
		}
	}
	return NormalPriority
}

// headerPriorities has the values of the three fields. They do not contradict each
// other.
var headerPriorities = map[string]Priorities{
	"high": HighPriority, "normal": NormalPriority, "low": LowPriority, // Importance
	"1": HighPriority, "2": HighPriority, "3": NormalPriority, "4": LowPriority, "5": LowPriority, // X-Priority
	"urgent": HighPriority, "non-urgent": LowPriority, // Priority
}

// firstWord returns the first word of a value in lower case, as in "1 (Highest)".
func firstWord(value string) string {
	f := strings.FieldsFunc(value, func(r rune) bool { return r == ' ' || r == '\t' || r == '\r' || r == '\n' || r == '(' })
	if len(f) == 0 {
		return ""
	}
	return strings.ToLower(f[0])
}
