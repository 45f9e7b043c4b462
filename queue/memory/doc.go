// Package memory is a queue.Store that keeps everything in memory: for tests,
// examples and programs that may lose mail. It keeps all of a Store's
// promises but the one that gives a store its purpose: nothing outlives the
// process.
//
//	q := &queue.Queue{Store: new(memory.Store), Deliverer: d}
package memory
