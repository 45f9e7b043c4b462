// Package tracking writes a queue's events as a message tracking log, in the
// columns that Exchange has made familiar, and searches it.
//
//	log := &tracking.Log{Dir: "/var/log/bridgehead/tracking", Hostname: "relay.example.com"}
//	events := q.Subscribe(0)
//	go log.Write(events)
//	...
//	for e, err := range tracking.Search(dir, tracking.Filter{Recipient: "bob@example.net"}) {
//		...
//	}
//
// A file has a few lines that begin with '#', the last of which names the
// columns, and then one line of comma-separated values for each event. Times
// are UTC. What could end a line, act on a terminal or be taken for a formula
// by a spreadsheet is escaped as in Go, with an apostrophe before a formula;
// [Search] reads it back. The number that Exchange 2003 gave the event stands in
// message-info.
package tracking
