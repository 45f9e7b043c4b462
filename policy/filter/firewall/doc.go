// Package firewall removes header fields that must not cross the boundary of
// an organization, and marks mail that comes from outside.
//
// The systems of an organization exchange information in header fields. For
// example, a field can show that a message was scanned, what its spam
// confidence level is, or that it is trusted. [Inbound] removes such fields
// from mail that comes from outside. Without it, a sender could set them on its
// own messages. [Outbound] removes them from mail that leaves, and from the
// original messages that delivery reports enclose. [External] marks messages
// that come from outside.
//
//	srv.Agents = append(srv.Agents,
//		new(firewall.Inbound).Agent(),
//		(&firewall.External{Subject: "[EXTERNAL] "}).Agent())
//
// Put Inbound after the agents that verify signatures, and before all agents
// that write fields of the organization, such as content.Filter.
package firewall
