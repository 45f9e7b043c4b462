//go:build !unix

package e2e

import "time"

// cpuTime returns 0: it is measured only on Unix.
func cpuTime() time.Duration { return 0 }
