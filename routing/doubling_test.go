package routing

import (
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// Twice the input takes about twice the time, for each function and each repeated text.
func TestDoubling(t *testing.T) {
	doubling.Time(t, map[string]func(string){
		"ParseSchedule":          func(s string) { ParseSchedule(s, time.UTC) },
		"ParseSchedule, windows": func(s string) { ParseSchedule("Mon "+s, time.UTC) },
		"parseResolvConf":        func(s string) { parseResolvConf(s) },
		"parseSenders":           func(s string) { parseSenders([]string{s}) },
		"parseSpace":             func(s string) { parseSpace(s) },
		"headerPriority":         func(s string) { headerPriority(&queue.Message{Content: queue.String("X-Priority: " + s)}) },
		"parseReplyPatterns":     func(s string) { parseReplyPatterns([]string{s}, 5) },
	}, append([]string{"nameserver 192.0.2.1\n", "Mon 1-2,", "1:00-2:00,", "*."}, doubling.Units...))
}
