//go:build !unix

package main

import "os"

// lineUp returns nil: the system has no SIGUSR1.
func lineUp() <-chan os.Signal { return nil }
