// Package tracking writes the events of a queue to a message tracking log, and
// searches such a log. The columns are those of Exchange.
//
//	log := &tracking.Log{Dir: "/var/log/bridgehead/tracking", Hostname: "relay.example.com"}
//	events := q.Subscribe(0)
//	go log.Write(events)
//	...
//	for e, err := range tracking.Search(dir, tracking.Filter{Recipient: "bob@example.net"}) {
//		...
//	}
//
// [Search] reads the whole log. For a program that shows pages, [Find] returns one
// page at a time, the newest entries first, and [Timeline] returns the entries of one
// message.
//
// A file begins with a few lines that start with '#'. The last of them has the
// names of the columns. After these lines, the file has one line of
// comma-separated values for each event. Times are in UTC. The column
// message-info has, among other things, the number that Exchange 2003 gave to
// the event. The column custom-data has the labels of the message
// (queue.MessageOptions). A file of an earlier version does not have this column;
// Search reads it too.
//
// The events have the names of Exchange where it has them. REJECT (a message, a
// recipient or a session was refused), DROP (discarded), QUARANTINE and BEGINTRANSFER
// (the transfer to a host begins) have the numbers 1040, 1039, 1041 and 1020. Their
// column source-context has the name of the agent that has decided. Message-info has
// the priority of the message if it is not 0, and count=N in a REJECT that stands for
// N refusals.
//
// Characters that could end a line or control a terminal are escaped as in Go. A
// value that a spreadsheet could take for a formula begins with an apostrophe. A
// value of more than 8 KiB is cut. Search, Find and Timeline return the values without the escapes.
package tracking
