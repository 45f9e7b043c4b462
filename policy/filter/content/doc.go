// Package content judges messages by what they say and bring.
//
// # Spam confidence
//
// Agents that have an opinion about a message give it a spam confidence level
// from 0 (no spam) to 9 (spam for sure) with [Rate]: the agents of
// policy/filter/scan do, transport rules can, and so may an application's own.
// [Filter] stamps the highest one into the header and acts on it: it marks the
// message, sends it to a quarantine address, or refuses it.
//
//	srv.Agents = append(srv.Agents,
//		spamd.Agent(), // rates
//		(&content.Filter{Mark: 5, Quarantine: 7, QuarantineTo: "spam@example.com", Reject: 9}).Agent())
//
// # Attachments
//
// [Attachments] looks for attachments by file name and media type, also by the
// names within archives (zip, tar, gzip, and archives in those), and strips
// them or refuses the message. It goes by what other programs may make of an
// attachment: all readings of a name count, and what cannot be looked into, or
// be read in several ways, is not allowed either (unless AllowUnreadable). What
// is not stripped leaves byte for byte as it came.
package content
