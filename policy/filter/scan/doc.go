// Package scan sends messages to scanners, which check them: SpamAssassin's
// spamd ([Spamd]), ClamAV's clamd ([Clamd]), or a web service ([HTTP]).
//
//	spam := &scan.Spamd{Address: "127.0.0.1:783"}
//	virus := &scan.Clamd{Address: "/run/clamav/clamd.ctl"}
//	srv.Agents = append(srv.Agents, virus.Agent(), spam.Agent(),
//		(&content.Filter{Mark: 5, Reject: 9}).Agent())
//
// Spamd and HTTP give the message a spam confidence level (see
// policy/filter/content). Put a content.Filter after them to act on it. Clamd
// refuses infected messages.
//
// # When the scanner is down
//
// If a scanner cannot be reached, takes too long or violates its protocol, the
// client gets 451 4.7.1 and can try again later. With PassWhenDown, the message
// passes unscanned instead. The log and the counters show both. A message that
// is longer than MaxSize is not sent to the scanner: Spamd lets it pass without
// a level, Clamd and HTTP refuse it unless PassOversize is set.
package scan
