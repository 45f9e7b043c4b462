// Package milter lets mail filters that speak sendmail's milter protocol
// judge and change what a server receives: rspamd, opendkim, clamav-milter and
// all the others.
//
//	rspamd := &milter.Client{Address: "127.0.0.1:11332"}
//	if err := rspamd.Validate(); err != nil {
//		log.Fatal(err)
//	}
//	srv.Agents = append(srv.Agents, rspamd.Agent())
//
// The milter hears of each event as it comes (connection, HELO, MAIL, RCPT,
// DATA) and of header and body at the end of data, as the agents before it
// have left them. What it does not ask to be changed leaves byte for byte as
// it came; header fields are changed in their place.
//
// # When the milter is down
//
// A milter that cannot be reached, breaks off, takes too long or does not
// keep to the protocol costs the client a 451 4.7.1, and the message comes
// again later. PassWhenDown lets mail through unseen instead, and says so in
// the log and in the counters.
//
// # Why not a library
//
// The protocol, in versions 2 to 6, is spoken by this package itself. The
// client of github.com/emersion/go-milter v0.5.0 takes SKIP for an error,
// cannot send DATA, and lets a milter hold it up for ever with signs of
// progress.
package milter
