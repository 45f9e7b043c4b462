// Package content filters messages by their spam confidence level and by their
// attachments.
//
// # Spam confidence level
//
// Agents use [Rate] to give a message a spam confidence level, from 0 (not spam)
// to 9 (certainly spam). The agents of policy/filter/scan do this. Transport
// rules and an application's own agents can do it, too. [Filter] writes the
// highest level into the header and acts on it: it marks the message, sends it
// to a quarantine address, or refuses it.
//
//	srv.Agents = append(srv.Agents,
//		spamd.Agent(), // rates
//		(&content.Filter{Mark: 5, Quarantine: 7, QuarantineTo: "spam@example.com", Reject: 9}).Agent())
//
// # Attachments
//
// [Attachments] finds attachments by file name and media type, and refuses the
// message or strips the attachments. It also checks the names in archives: zip,
// tar, gzip, and archives within archives. Programs may decode an attachment's
// name in different ways; [Attachments] checks all of the results. It also
// treats an attachment as not allowed if it cannot be read, or if programs may
// read it in different ways, unless AllowUnreadable is set. All bytes outside
// stripped attachments stay the same.
package content
