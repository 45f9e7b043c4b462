package routing

import "github.com/bridgehead-mail/bridgehead/internal/resolver"

// A Resolver looks up records in the DNS. It is the same type in all packages
// that look up names: one Resolver can serve the Router, the agents of package
// policy, and SPF, DKIM, DMARC and ARC. DNSResolver queries name servers and
// caches their answers; NetResolver uses a net.Resolver. Other implementations
// can wrap or replace them. It has one method:
//
//	Lookup(ctx context.Context, name string, t RecordType) (*Answer, error)
//
// Lookup returns the records of one type of a name: either an Answer with at
// least one record of this type, or an error. It must be safe for concurrent
// use.
//
// The name is complete: there is no search list. It has no final dot. Case does
// not matter. An internationalized name is in A-label form. The name has no
// escape sequences: each octet is an octet of the DNS name.
//
// Lookup follows aliases (CNAME), unless the type is TypeCNAME.
//
// If the name or the record does not exist, or no DNS name can have this form,
// the error is a *LookupError with the Problem NoSuchName, NoRecord, NotFound or
// BadName. Any other error is temporary: it does not show whether the record
// exists.
//
// A Resolver whose answers are never Secure should also have the method
//
//	Authenticated() bool
//
// that returns false. DANE is an error at start with such a Resolver.
type Resolver = resolver.Resolver

// An Answer contains the records of one type, in the field for this type. It is
// shared and must not be changed. Names have no final dot; the root is ".".
// They have no escape sequences, with one exception: a dot inside a label is
// written with a backslash, so that the name is not a valid host name.
//
//	type Answer struct {
//		Name    string       // the owner of the records: the end of the CNAME chain. Empty: the name of the query
//		Addrs   []netip.Addr // TypeA, TypeAAAA
//		MX      []MX         // TypeMX, in any order; one record with the host "." is a null MX (RFC 7505)
//		TXT     []string     // TypeTXT, with the strings of each record joined
//		Names   []string     // TypePTR, TypeCNAME
//		TLSA    []TLSA       // TypeTLSA
//		Secure  bool         // DNSSEC authenticates the whole answer, and the Resolver can rely on this
//		Expires time.Time    // when the answer is no longer valid; zero: not known
//	}
type Answer = resolver.Answer

// An MX is an MX record (RFC 5321, 5.1).
//
//	type MX struct {
//		Preference uint16 // the lowest number is the best
//		Host       string // without the final dot; "." in a null MX (RFC 7505)
//	}
type MX = resolver.MX

// A TLSA is a TLSA record. RFC 6698, 2.1 defines the fields.
//
//	type TLSA struct {
//		Usage, Selector, Matching uint8
//		Data                      []byte
//	}
type TLSA = resolver.TLSA

// A RecordType is the type of a DNS record. The value is its number in the DNS.
type RecordType = resolver.Type

// The types that a Resolver looks up.
const (
	TypeA     = resolver.TypeA
	TypeAAAA  = resolver.TypeAAAA
	TypeMX    = resolver.TypeMX
	TypeTXT   = resolver.TypeTXT
	TypePTR   = resolver.TypePTR
	TypeCNAME = resolver.TypeCNAME
	TypeTLSA  = resolver.TypeTLSA
)

// A LookupError is the error of a Resolver. The methods Temporary and Unwrap are
// those of an error.
//
//	type LookupError struct {
//		Problem DNSProblem
//		Name    string     // the name of the query, without the final dot
//		Type    RecordType // the type of record
//		Detail  string     // more information, for example the response code
//		Err     error      // the cause; may be nil
//	}
type LookupError = resolver.Error

// ResolverFunc is a function that is a Resolver:
//
//	func(ctx context.Context, name string, t RecordType) (*Answer, error)
type ResolverFunc = resolver.Func

// A NetResolver is a Resolver that uses a net.Resolver, and with it the settings
// of the system, for example /etc/hosts. The zero value uses net.DefaultResolver.
// It has one field, Resolver, a *net.Resolver.
//
// A net.Resolver has limits: its answers are never Secure, so DANE cannot be
// used. It does not look up TLSA and CNAME records, and does not report the end
// of a CNAME chain, so Router.StrictMX cannot be used. It does not distinguish a
// name that does not exist from a name without records. It does not look up
// names that have octets other than letters, digits, hyphens and underscores,
// which SPF macros can produce. It has no cache.
type NetResolver = resolver.Net
