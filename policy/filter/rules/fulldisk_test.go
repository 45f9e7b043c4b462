package rules_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy/filter/rules"
	"github.com/bridgehead-mail/bridgehead/policy/internal/agenttest"
)

// If the disk is full, lines are missing from the tracking log, but no line is
// incomplete, and every file has its header. When there is space, logging
// continues.
func TestTrackingOnFullDisk(t *testing.T) {
	dir, ok := peers.SmallDisk(t, 16)
	if !ok {
		return
	}
	ballast := filepath.Join(dir, "ballast")
	for _, full := range []int{12 << 10, 16 << 10} { // one page is free, or none
		track := &rules.Tracking{Dir: filepath.Join(dir, "tracking")}
		rs := &rules.Rules{Tracking: track, List: []rules.Rule{{Name: "r", Then: []rules.Action{rules.PrependSubject(strings.Repeat("x", 300))}}}}
		relay := func(n int) {
			for range n {
				agenttest.Relay(t, "a@example.org", to, mail, rs.Agent())
			}
		}
		if err := os.WriteFile(ballast, make([]byte, full), 0o600); err != nil {
			t.Fatal(err)
		}
		relay(20)
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		relay(1)
		track.Close()
		line := regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z,<1@example.com>,r,x{300},PrependSubject,a@example\.org,[^,]*$`)
		records := tracked(t, track.Dir) // one file with complete lines
		if records[0][0] != "Date-Time" || len(records) < 2 || len(records) > 14 {
			t.Errorf("%d lines, the first %q", len(records), records[0])
		}
		for _, r := range records[1:] {
			if !line.MatchString(strings.Join(r, ",")) {
				t.Errorf("%q", r)
			}
		}
		if err := os.RemoveAll(track.Dir); err != nil {
			t.Fatal(err)
		}
	}
}

// Data from the sender cannot execute anything in a program that shows the
// tracking log.
func TestTrackingIsEscaped(t *testing.T) {
	track := &rules.Tracking{Dir: t.TempDir()}
	t.Cleanup(func() { track.Close() })
	rs := &rules.Rules{Tracking: track, List: []rules.Rule{{Name: "r", Then: []rules.Action{rules.RemoveHeader("X")}}}}
	agenttest.Relay(t, "=cmd|calc@example.org", to, "Message-ID: <\u009b31m\u202e\u2028@x>\r\n\r\n", rs.Agent())
	r := tracked(t, track.Dir)[1]
	if r[1] != `<\u009B31m\u202E\u2028@x>` || r[5] != "'=cmd|calc@example.org" {
		t.Errorf("%q", r)
	}
}
