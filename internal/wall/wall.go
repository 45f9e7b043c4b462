// Package wall reads the wall clock, which operators and NTP can set while a relay
// runs. Tests of this module replace it.
package wall

import "time"

// A Clock reads the wall clock. A nil *Clock reads that of the system.
type Clock struct{ now func() time.Time }

// Reading returns a Clock that reads now. It is for tests.
func Reading(now func() time.Time) *Clock { return &Clock{now} }

// Now returns the wall clock time, without a monotonic reading.
func (c *Clock) Now() time.Time {
	if c == nil {
		return time.Now().Round(0)
	}
	return c.now().Round(0)
}
