package smtpclient

import (
	"fmt"
	"testing"
	"time"
)

func (d *downList) down(now time.Time, addr string) bool {
	return now.Before(d.last(now, downKey{addr: addr}).until)
}

// The number of remembered failures is limited, and they are forgotten in time.
func TestDownListBound(t *testing.T) {
	var d downList
	now := time.Now()
	d.add(downKey{addr: "never"}, now, -1)
	for i := range maxDown {
		d.add(downKey{addr: fmt.Sprint(i)}, now, time.Minute)
	}
	if d.down(now, "never") || !d.down(now, "0") || len(d.failed) != maxDown {
		t.Errorf("%d failures", len(d.failed))
	}
	d.add(downKey{addr: "one more"}, now, time.Minute)
	if !d.down(now, "one more") || len(d.failed) > maxDown || len(d.failed) < maxDown/2 {
		t.Errorf("%d failures with one too many", len(d.failed))
	}
	// Old failures are dropped first.
	for i := range maxDown {
		d.add(downKey{addr: fmt.Sprint(i)}, now, time.Minute)
	}
	later := now.Add(time.Hour)
	for i := range maxDown / 2 {
		d.add(downKey{addr: fmt.Sprint("later", i)}, later, time.Minute)
	}
	for i := range maxDown / 2 {
		if !d.down(later, fmt.Sprint("later", i)) {
			t.Fatalf("failure %d was forgotten for older ones", i)
		}
	}
	if f := d.last(later.Add(downMemory), downKey{addr: "later1"}); f.suspect(later.Add(downMemory)) {
		t.Errorf("after a day: %+v", f)
	}
	// An operator's longer time counts.
	d.add(downKey{addr: "long"}, now, 3*downMemory)
	if !d.down(now.Add(2*downMemory), "long") {
		t.Error("HostDownTime of three days ended after two")
	}
}
