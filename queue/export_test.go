package queue

import "time"

// SetClock replaces the system's wall clock. It must be called before any other
// method.
func (q *Queue) SetClock(system func() time.Time) { q.clock.system = system }
