// Package scan asks scanners about messages: SpamAssassin's spamd ([Spamd]),
// ClamAV's clamd ([Clamd]), and whatever answers an HTTP request ([HTTP]).
//
//	spam := &scan.Spamd{Address: "127.0.0.1:783"}
//	virus := &scan.Clamd{Address: "/run/clamav/clamd.ctl"}
//	srv.Agents = append(srv.Agents, virus.Agent(), spam.Agent(),
//		(&content.Filter{Mark: 5, Reject: 9}).Agent())
//
// Spamd and HTTP give the message a spam confidence level (see
// policy/filter/content), on which a content.Filter after them acts. Clamd refuses
// what is infected.
//
// # When the scanner is down
//
// A scanner that cannot be reached, takes too long or answers with something
// else than its protocol costs the client a 451 4.7.1, and the message comes
// again later. PassWhenDown lets mail through unseen instead, and says so in
// the log and in the counters. A message longer than MaxSize is not sent to
// the scanner; what becomes of it is said there.
package scan
