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
// The events have the names of Exchange where it has them. Four have names of their
// own: REJECT (a message, a recipient or a session was refused), DROP (discarded),
// QUARANTINE and BEGINTRANSFER (the transfer to a host begins). For the first three,
// the column source-context has the name of the agent that has decided. Message-info
// has count=N in a REJECT that stands for N refusals, login=yes if the client has
// logged in, and the priority of the message if it is not 0. Custom-data then also has
// S:DeliveryPriority=High or Low, as in Exchange 2013.
//
// The column directionality is Originating for reports of the relay, and for mail of
// clients that belong to the organization (queue.Origin.Internal). For other mail it is
// Incoming.
//
// # The numbers of Exchange 2003
//
//	1010  SMTP queued outbound            -               Exchange 5.5 (Internet Mail Service): as 1034
//	1011  SMTP transferred outbound       -               Exchange 5.5: as 1031
//	1012  SMTP received inbound           -               Exchange 5.5: as 1019
//	1013  SMTP transferred                -               Exchange 5.5: as 1023
//	1014  message rerouted                RESUBMIT
//	1015  report transferred in           -               Exchange 5.5: a report from outside is mail, 1019
//	1016  report transferred out          -               Exchange 5.5: a report is sent as mail, 1031
//	1017  report generated                RECEIVE         of a report of the relay
//	1018  report absorbed                 SUPPRESSED
//	1019  message submitted               RECEIVE
//	1020  begin outbound transfer         BEGINTRANSFER
//	1021  bad mail                        BADMAIL
//	1022  fatal error                     POISONMESSAGE
//	1023  local delivery                  SEND            to a host that has the mailbox (LMTP)
//	1024  message to the categorizer      -               the hooks of the queue end before 1019
//	1025  begin submit message            -               the same moment as 1019
//	1026  message failed                  FAIL
//	1027  message to the store driver     -               no mailbox store
//	1028  delivery by the store driver    -               no mailbox store; 1023 has the result
//	1029  gateway delivery                -               no X.400 MTA; all other transports have 1031
//	1030  NDR                             DSN             of a failure
//	1031  end outbound transfer           SEND
//	1032  retry of categorization         -               a hook that fails refuses the message: 1040
//	1033  message categorized             EXPAND          the recipients were replaced by others
//	1034  queued for remote delivery      DEFER
//	1035  retry of routing                DEFER           without a next hop
//	1036  queued for local delivery       -               LMTP has a queue like each next hop: 1034
//	1037  retry of local delivery         -               the same
//	1038  queued for gateway delivery     -               the same
//	1039  deleted by the filter           DROP
//	1040  rejected by the filter          REJECT
//	1041  archived by the filter          QUARANTINE
//	1042  redirected                      REDIRECT
//
// BADMAILREMOVED, THROTTLE, OPERATION, the DSN of another report, and the REJECT of a
// session have no number. All events but BEGINTRANSFER are written always; see
// [Log.NoTransfer].
//
// Characters that could end a line or control a terminal are escaped as in Go. A
// value that a spreadsheet could take for a formula begins with an apostrophe. A
// value of more than 8 KiB is cut. Search, Find and Timeline return the values without the escapes.
package tracking
