// Package memory is a queue.Store that keeps all messages in memory. It is for
// tests, examples and programs that may lose mail. It follows all rules of
// queue.Store except one: the messages are lost when the process ends.
//
//	q := &queue.Queue{Store: new(memory.Store), Deliverer: d}
package memory
