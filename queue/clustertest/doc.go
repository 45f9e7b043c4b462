// Package clustertest makes any queue.Store a queue.Cluster whose nodes a test sets. It
// is for tests of programs that show and drain nodes, such as a console. Only the node
// of the test is real: the others are only shown.
//
//	cluster := clustertest.New(nodes...)
//	store := struct {
//		*memory.Store
//		*clustertest.Cluster
//	}{new(memory.Store), cluster}
package clustertest
