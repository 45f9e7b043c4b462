package spool

import (
	"fmt"
	"testing"
)

// LimitsInForce has the options and their defaults.
func TestLimitsInForce(t *testing.T) {
	s, err := Open(t.TempDir(), &Options{SegmentSize: 1 << 20, DamagedBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got := ""
	for _, l := range s.LimitsInForce() {
		got += fmt.Sprintf("%s=%s ", l.Name, l.Text)
	}
	if want := "SegmentSize=1 MiB LargeContent=256 KiB DamagedBytes=no limit DamagedFiles=10000 "; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
