// Package spool is the durable queue.Store of one relay: mail in files on a
// disk of its own machine.
//
//	store, err := spool.Open("/var/spool/relay", nil)
//	if err != nil { ... }
//	defer store.Close()
//	server.Overflow = store.CreateFile // big mail is written once
//	q := &queue.Queue{Store: store, Deliverer: router}
package spool
