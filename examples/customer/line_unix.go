//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// lineUp returns a channel that receives SIGUSR1.
func lineUp() <-chan os.Signal {
	up := make(chan os.Signal, 1)
	signal.Notify(up, syscall.SIGUSR1)
	return up
}
