package spool

import (
	"bytes"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/site"
)

// A spool that was opened without a Logger keeps its first lines for the one that
// it inherits. A Logger of its own stays.
func TestInheritedLogger(t *testing.T) {
	var first, second bytes.Buffer
	s, err := Open(filepath.Join(t.TempDir(), "spool"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 2 * maxHeld {
		s.logger.Info(fmt.Sprintf("line %d", i))
	}
	s.Inherit(site.Defaults{}) // has no Logger
	s.Inherit(site.Defaults{Logger: slog.New(slog.NewTextHandler(&first, nil))})
	s.Inherit(site.Defaults{Logger: slog.New(slog.NewTextHandler(&second, nil))})
	s.logger.Warn("later")
	lines := strings.Split(strings.TrimSpace(first.String()), "\n")
	if len(lines) != maxHeld+1 || !strings.Contains(lines[0], "spool: recovered") || !strings.HasSuffix(lines[maxHeld], "msg=later") || second.Len() > 0 {
		t.Errorf("%d lines, the first %s, the last %s; second logger: %s", len(lines), lines[0], lines[len(lines)-1], &second)
	}

	var own bytes.Buffer
	s2, err := Open(filepath.Join(t.TempDir(), "spool"), &Options{Logger: slog.New(slog.NewTextHandler(&own, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer s2.Close()
	s2.Inherit(site.Defaults{Logger: slog.New(slog.NewTextHandler(&second, nil))})
	s2.logger.Warn("later")
	if !strings.Contains(own.String(), "later") || second.Len() > 0 {
		t.Errorf("own %s, other %s", &own, &second)
	}
}
