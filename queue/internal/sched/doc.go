// Package sched makes the decisions of the queue's scheduler. It is plain data
// and functions: it has no store, no clock, no goroutine and no lock. The
// caller passes the time in.
package sched
