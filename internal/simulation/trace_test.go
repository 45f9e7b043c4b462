package simulation

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// A trace is what happened in a run, in the order of time. It has only what is the same
// in each run of a seed: no message IDs.
type trace struct {
	begun time.Time
	print func(line string) // if not nil, gets each line when it happens
	mu    sync.Mutex        // guards lines
	lines []string
}

func (t *trace) add(format string, args ...any) {
	line := fmt.Sprintf("%16.9f ", time.Since(t.begun).Seconds()) + fmt.Sprintf(format, args...)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, line)
	if t.print != nil {
		t.print(line)
	}
}

// digest is the same for equal runs.
func (t *trace) digest() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	slices.Sort(t.lines) // what happened at the same moment has no order
	sum := sha256.Sum256([]byte(strings.Join(t.lines, "\n")))
	return hex.EncodeToString(sum[:8])
}
