//go:build !unix

package doubling

import "time"

func used() time.Duration { return time.Since(begun) }
