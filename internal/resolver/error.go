package resolver

import (
	"errors"
	"fmt"
	"net"
	"strings"
)

// A Problem is the reason why a lookup finds no record, or why a domain has no
// mail host.
type Problem uint8

const (
	// Unavailable: no server answered in time.
	Unavailable Problem = iota
	// Failure: the servers reported a failure, or sent an answer that is not
	// valid. Failures are response codes such as SERVFAIL and REFUSED.
	// Validating servers also report them for DNSSEC signatures that are not
	// valid.
	Failure
	// NoSuchName: the name does not exist (NXDOMAIN).
	NoSuchName
	// NoRecord: the name exists, but has no record of this type.
	NoRecord
	// NotFound: the name does not exist or has no record of this type. The
	// Resolver cannot distinguish the two.
	NotFound
	// BadName: the name is not a valid DNS name.
	BadName
	// AliasLoop: a chain of CNAME records is a loop, or is too long.
	AliasLoop

	// A Resolver does not return the following problems. Package routing
	// reports them.

	// NullMX: the domain accepts no mail (RFC 7505).
	NullMX
	// MXAlias: the name in an MX record is an alias (RFC 2181, 10.3).
	MXAlias
	// MXAddress: the name in an MX record is an IP address.
	MXAddress
	// NoAddress: neither the domain nor any host in its MX records has an
	// address.
	NoAddress
)

var problemTexts = [...]string{
	Unavailable: "no answer from the DNS servers",
	Failure:     "DNS lookup failed",
	NoSuchName:  "no such domain",
	NoRecord:    "no such record",
	NotFound:    "no such domain or record",
	BadName:     "not a valid domain name",
	AliasLoop:   "CNAME loop",
	NullMX:      "the domain accepts no mail (null MX)",
	MXAlias:     "the MX record names an alias",
	MXAddress:   "the MX record names an IP address instead of a host",
	NoAddress:   "no host with an address",
}

func (p Problem) String() string {
	if int(p) < len(problemTexts) {
		return problemTexts[p]
	}
	return fmt.Sprintf("DNSProblem(%d)", uint8(p))
}

// An Error reports that a lookup found no record, or failed. The zero Problem
// is temporary.
type Error struct {
	Problem Problem
	Name    string // the name of the query, without the final dot
	Type    Type   // the type of record
	Detail  string // more information, for example the response code
	Err     error  // the cause; may be nil
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: %v", e.Name, e.Type, e.Problem)
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Temporary reports whether the error does not show whether the record exists,
// so that the same lookup can succeed later.
func (e *Error) Temporary() bool { return !e.absent() }

func (e *Error) absent() bool {
	switch e.Problem {
	case NoSuchName, NoRecord, NotFound, BadName:
		return true
	}
	return false
}

// IsNotFound reports whether err means that the name, or a record of the type,
// does not exist. Any other error is temporary. A *net.DNSError with IsNotFound
// is accepted too, because a Resolver that wraps a net.Resolver may return it.
func IsNotFound(err error) bool {
	var e *Error
	if errors.As(err, &e) {
		return e.absent()
	}
	var n *net.DNSError
	return errors.As(err, &n) && n.IsNotFound
}
