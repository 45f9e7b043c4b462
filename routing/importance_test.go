package routing

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// The fields in their usual forms. MT-PRIORITY has priority over them, and a connector
// that is not configured to read them does not.
func TestHeaderPriority(t *testing.T) {
	tb := table(t,
		Connector{Name: "high", Spaces: []string{"*;1"}, Priorities: HighPriority, HeaderPriority: true},
		Connector{Name: "low", Spaces: []string{"*;2"}, Priorities: LowPriority, HeaderPriority: true},
		Connector{Name: "strict", Spaces: []string{"*;3"}, Priorities: HighPriority | LowPriority},
		Connector{Name: "normal", Spaces: []string{"*;4"}, Priorities: NormalPriority})
	for _, tt := range []struct {
		header   string
		priority int
		want     string
	}{
		{"Subject: x", 0, "normal"},
		{"Importance: high", 0, "high"},
		{"IMPORTANCE:  High (really)", 0, "high"},
		{"Importance: low", 0, "low"},
		{"Importance: normal\r\nX-Priority: 1", 0, "normal"},
		{"X-Priority: 1 (Highest)", 0, "high"},
		{"X-Priority: 2", 0, "high"},
		{"X-Priority: 3 (Normal)", 0, "normal"},
		{"X-Priority: 4", 0, "low"},
		{"X-Priority:\r\n 5 (Lowest)", 0, "low"},
		{"X-Priority: 9\r\nPriority: urgent", 0, "high"},
		{"Priority: non-urgent", 0, "low"},
		{"Priority: normal", 0, "normal"},
		{"Importance:\r\nPriority: urgent", 0, "high"},
		{"Importance: highest", 0, "normal"},
		{"Importance: high", -4, "low"},
		{"Importance: low", 4, "high"},
		{"Subject: x\r\n\r\nImportance: high", 0, "normal"}, // in the body
		{"X: " + strings.Repeat("x", 60<<10) + "\r\nImportance: high", 0, "high"},
		{"X: " + strings.Repeat("x", 70<<10) + "\r\nImportance: high", 0, "normal"},
	} {
		m := &queue.Message{Options: queue.MessageOptions{Priority: tt.priority}, Content: queue.String(tt.header + "\r\n\r\nbody\r\n")}
		if got := routed(t, tb, m, "x@example.net"); got != tt.want {
			t.Errorf("%.40q, MT-PRIORITY %d: %s, want %s", tt.header, tt.priority, got, tt.want)
		}
	}
	for name, m := range map[string]*queue.Message{"no content": {}, "a faulty one": {Content: unreadable{}}} {
		if got := routed(t, tb, m, "x@example.net"); got != "normal" {
			t.Errorf("%s: %s", name, got)
		}
	}
	if _, err := NewTable(Connector{Name: "c", Spaces: []string{"*"}, HeaderPriority: true}); err == nil || !strings.Contains(err.Error(), "connector c: HeaderPriority: has no effect without Priorities") {
		t.Errorf("without Priorities: %v", err)
	}
}

// unreadable is content that a disk does not return.
type unreadable struct{}

func (unreadable) Size() int64                       { return 1000 }
func (unreadable) ReadAt([]byte, int64) (int, error) { return 0, errors.New("bad disk") }
func (unreadable) WriteTo(io.Writer) (int64, error)  { return 0, errors.New("bad disk") }

func FuzzHeaderPriority(f *testing.F) {
	f.Add("X-Priority: 1 (Highest)\r\nImportance: \r\n low\r\n\r\nbody")
	f.Fuzz(func(t *testing.T, text string) {
		p := headerPriority(&queue.Message{Content: queue.String(text)})
		if p != HighPriority && p != NormalPriority && p != LowPriority {
			t.Errorf("priority %d", p)
		}
	})
}
