package envelope

// A Class is a kind of failure. It groups failed attempts by their cause.
type Class uint8

const (
	ClassNone      Class = iota // a success, or no attempt yet
	ClassTemporary              // the host answered 4xx
	ClassPermanent              // the host answered 5xx
	ClassNetwork                // no connection, or a broken one
	ClassDNS                    // the name or addresses of the next hop could not be found
	ClassPolicy                 // a security or permission rule, remote or local (X.7.X)
	ClassLocal                  // a local problem
)

// String returns the name of the class: "none", "temporary", "permanent",
// "network", "dns", "policy" or "local".
func (c Class) String() string {
	return [...]string{"none", "temporary", "permanent", "network", "dns", "policy", "local"}[min(c, ClassLocal)]
}

// Class returns the class of the failure. It depends on the enhanced status
// code (RFC 3463) and on whether a host replied.
func (r *Result) Class() Class {
	subject, detail := r.Reply.EnhancedCode[1], r.Reply.EnhancedCode[2]
	switch {
	case r.Outcome == Success || r.Reply.Code == 0 && r.Err == nil:
		return ClassNone
	case subject == 7:
		return ClassPolicy
	case r.Host != "" && r.Outcome != Unreachable:
		if r.Reply.Code/100 == 5 {
			return ClassPermanent
		}
		return ClassTemporary
	case subject == 4 && (detail == 3 || detail == 4), subject == 1 && (detail == 2 || detail == 10):
		return ClassDNS // X.4.3 directory server, X.4.4 no route, X.1.2 bad domain, X.1.10 null MX
	case r.Outcome == Unreachable || subject == 4:
		return ClassNetwork
	}
	return ClassLocal
}
