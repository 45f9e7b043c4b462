package resolver

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// A Resolver looks up records in the DNS. It must be safe for concurrent use.
type Resolver interface {
	// Lookup returns the records of one type of a name. It returns either an
	// Answer with at least one record of this type, or an error.
	//
	// The name is complete: there is no search list. It has no final dot. Case
	// does not matter. An internationalized name is in A-label form. The name
	// has no escape sequences: each octet is an octet of the DNS name. Macros
	// of SPF can produce names with any octets.
	//
	// Lookup follows aliases (CNAME), unless the type is TypeCNAME.
	//
	// If the name or the record does not exist, or a DNS name cannot have this
	// form, the error is an *Error with the Problem NoSuchName, NoRecord,
	// NotFound or BadName. Any other error is temporary: it does not show
	// whether the record exists.
	Lookup(ctx context.Context, name string, t Type) (*Answer, error)
}

// An Answer contains the records of one type, in the field for this type. It
// can be shared with other callers and must not be changed.
//
// Names have no final dot; the root is ".". They have no escape sequences, with
// one exception: a dot inside a label is written with a backslash, so that the
// name is not a valid host name.
type Answer struct {
	// Name is the owner of the records: the name of the query or, if that is
	// an alias, the end of its CNAME chain. Empty means the name of the query.
	Name string
	// Addrs are the addresses of TypeA or TypeAAAA.
	Addrs []netip.Addr
	// MX are the mail exchangers, in any order. One record with the host "."
	// is a null MX (RFC 7505).
	MX []MX
	// TXT are the texts, with the strings of each record joined (RFC 7208,
	// 3.3).
	TXT []string
	// Names are the names of TypePTR or TypeCNAME.
	Names []string
	// TLSA are the associations of certificates with a host (RFC 6698).
	TLSA []TLSA
	// Secure reports that DNSSEC authenticates the whole answer, and that the
	// Resolver can rely on this. DANE uses only such answers.
	Secure bool
	// Expires is when the answer is no longer valid. Zero means that this is
	// not known.
	Expires time.Time
}

// An MX is an MX record.
type MX struct {
	Preference uint16
	Host       string
}

// A TLSA is a TLSA record (RFC 6698, 2.1).
type TLSA struct {
	Usage    uint8
	Selector uint8
	Matching uint8
	Data     []byte
}

// Has reports whether the answer has a record of type t.
func (a *Answer) Has(t Type) bool {
	switch t {
	case TypeA, TypeAAAA:
		return len(a.Addrs) > 0
	case TypeMX:
		return len(a.MX) > 0
	case TypeTXT:
		return len(a.TXT) > 0
	case TypePTR, TypeCNAME:
		return len(a.Names) > 0
	case TypeTLSA:
		return len(a.TLSA) > 0
	}
	return false
}

// Func is a function that is a Resolver.
type Func func(ctx context.Context, name string, t Type) (*Answer, error)

// Lookup calls f.
func (f Func) Lookup(ctx context.Context, name string, t Type) (*Answer, error) {
	return f(ctx, name, t)
}

// A Type is the type of a record, with its number in the DNS.
type Type uint16

// The types that a Resolver looks up.
const (
	TypeA     Type = 1
	TypeCNAME Type = 5
	TypePTR   Type = 12
	TypeMX    Type = 15
	TypeTXT   Type = 16
	TypeAAAA  Type = 28
	TypeTLSA  Type = 52
)

var typeNames = map[Type]string{TypeA: "A", TypeCNAME: "CNAME", TypePTR: "PTR", TypeMX: "MX", TypeTXT: "TXT", TypeAAAA: "AAAA", TypeTLSA: "TLSA"}

// String returns the name of the type, for example "MX". The name of any other
// type is "TYPE" and its number (RFC 3597, 5).
func (t Type) String() string {
	if name, known := typeNames[t]; known {
		return name
	}
	return fmt.Sprintf("TYPE%d", uint16(t))
}

// An Authenticator is a Resolver that knows whether its answers can be Secure.
// DANE cannot be used if Authenticated returns false. A Resolver without this
// method can have Secure answers.
type Authenticator interface {
	// Authenticated reports whether DNSSEC authenticates answers of the
	// Resolver.
	Authenticated() bool
}

// Authenticated reports whether r can have Secure answers.
func Authenticated(r Resolver) bool {
	a, knows := r.(Authenticator)
	return !knows || a.Authenticated()
}
