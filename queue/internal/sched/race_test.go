//go:build race

package sched

func init() { events = 50_000 } // the race detector makes each ten times slower
