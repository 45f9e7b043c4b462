// Package firewall keeps header fields on their side of the border, and marks
// mail that comes from outside.
//
// An organisation's systems tell each other things in header fields: that a
// message was scanned, what its spam confidence level is, that it is to be
// trusted. [Inbound] removes such fields from what strangers send, who could
// otherwise say these things of their own mail; [Outbound] removes them from
// what leaves, also from the originals that delivery reports enclose.
// [External] tells recipients that a message came from outside.
//
//	srv.Agents = append(srv.Agents,
//		new(firewall.Inbound).Agent(),
//		(&firewall.External{Subject: "[EXTERNAL] "}).Agent())
//
// Inbound belongs after the agents that verify signatures, and before all that
// write fields of the organisation, such as content.Filter.
package firewall
