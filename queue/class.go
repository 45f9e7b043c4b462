package queue

import "github.com/bridgehead-mail/bridgehead/internal/envelope"

// A Class is a kind of failure. It groups failed attempts by their cause. The
// method Class of a [Result] returns it. It depends on the enhanced status code
// (RFC 3463) and on whether a host replied.
type Class = envelope.Class

const (
	ClassNone      = envelope.ClassNone      // a success, or no attempt yet
	ClassTemporary = envelope.ClassTemporary // the host answered 4xx
	ClassPermanent = envelope.ClassPermanent // the host answered 5xx
	ClassNetwork   = envelope.ClassNetwork   // no connection, or a broken one
	ClassDNS       = envelope.ClassDNS       // the name or addresses of the next hop could not be found
	ClassPolicy    = envelope.ClassPolicy    // a security or permission rule, remote or local (X.7.X)
	ClassLocal     = envelope.ClassLocal     // a local problem
)
