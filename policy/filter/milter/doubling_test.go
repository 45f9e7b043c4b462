package milter

import (
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
)

// Twice the input takes about twice the time, for each function and each repeated text.
func TestDoubling(t *testing.T) {
	doubling.Time(t, map[string]func(string){
		"parsePacket": func(s string) { parsePacket([]byte("y" + s)) },
		"parseSMTP":   func(s string) { parseSMTP("550 " + s) },
		"normalize":   func(s string) { normalize([]byte(s)) },
	}, doubling.Units)
}
