// Package smtpclient sends mail: the SMTP and LMTP send engine.
//
// [Transport] is to mail what http.Transport is to the web. It is safe for
// concurrent use; it dials a destination's hosts in their order, negotiates
// TLS as the policy asks, authenticates, keeps sessions for the next message,
// pipelines, and returns one typed [Result] for each recipient, with the
// peer's own words. It looks nothing up in the DNS: a [Destination] brings its
// hosts along (package routing finds them by MX, smart host and so on).
//
// [Client] is one conversation with one host, for programs that want to hold
// it themselves: a probe, a one-off submission, an ETRN.
package smtpclient
