package routing

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/resolver"
)

// A DNSProblem is the reason why a DNS lookup does not lead to a host.
type DNSProblem = resolver.Problem

const (
	// DNSUnavailable: no server answered in time.
	DNSUnavailable = resolver.Unavailable
	// DNSFailure: the servers reported a failure, or sent an answer that is
	// not valid. Failures are response codes such as SERVFAIL and REFUSED.
	// Validating servers also report them for DNSSEC signatures that are not
	// valid.
	DNSFailure = resolver.Failure
	// NoSuchName: the name does not exist (NXDOMAIN).
	NoSuchName = resolver.NoSuchName
	// NoRecord: the name exists, but has no record of this type.
	NoRecord = resolver.NoRecord
	// NotFound: the name does not exist or has no record of this type. The
	// Resolver cannot distinguish the two. The router treats it as NoRecord.
	NotFound = resolver.NotFound
	// BadName: the name is not a valid DNS name.
	BadName = resolver.BadName
	// AliasLoop: a chain of CNAME records is a loop, or is too long.
	AliasLoop = resolver.AliasLoop
	// NullMX: the domain accepts no mail (RFC 7505).
	NullMX = resolver.NullMX
	// MXAlias: the name in an MX record is an alias (RFC 2181, 10.3). The
	// router follows the alias unless Router.StrictMX is set.
	MXAlias = resolver.MXAlias
	// MXAddress: the name in an MX record is an IP address.
	MXAddress = resolver.MXAddress
	// NoAddress: neither the domain nor any host in its MX records has an
	// address.
	NoAddress = resolver.NoAddress
)

type dnsReply struct {
	code     int
	enhanced smtp.EnhancedCode
}

// dnsStatus has the reply code and the enhanced code of each problem.
var dnsStatus = [...]dnsReply{
	DNSUnavailable: {451, smtp.EnhancedCode{4, 4, 3}},
	DNSFailure:     {451, smtp.EnhancedCode{4, 4, 3}},
	NoSuchName:     {550, smtp.EnhancedCode{5, 1, 2}},
	NoRecord:       {550, smtp.EnhancedCode{5, 4, 4}},
	NotFound:       {550, smtp.EnhancedCode{5, 4, 4}},
	BadName:        {550, smtp.EnhancedCode{5, 1, 2}},
	AliasLoop:      {550, smtp.EnhancedCode{5, 4, 6}},
	NullMX:         {556, smtp.EnhancedCode{5, 1, 10}},
	MXAlias:        {550, smtp.EnhancedCode{5, 4, 0}},
	MXAddress:      {550, smtp.EnhancedCode{5, 4, 0}},
	NoAddress:      {550, smtp.EnhancedCode{5, 4, 4}},
}

// A DNSError reports that the DNS does not lead to a host: a lookup found no
// record or failed, or the records name no host. It has a reply for SMTP. If a
// Resolver returns a LookupError, the router's error is a DNSError with the same
// fields.
type DNSError struct {
	Problem DNSProblem
	Name    string     // the name of the query
	Type    RecordType // the type of record, for example TypeMX
	Detail  string     // more information, for example the response code
	Err     error      // the cause; may be nil
}

func (e *DNSError) Error() string { return (*LookupError)(e).Error() }

func (e *DNSError) Unwrap() error { return e.Err }

// As lets errors.As find the *smtp.SMTPError.
func (e *DNSError) As(target any) bool { return asSMTP(target, e) }

// Temporary reports whether the same lookup can succeed later.
func (e *DNSError) Temporary() bool { return e.status().code < 500 }

// SMTP returns the reply for the error: 4.4.3 if the servers fail, 5.1.2 if
// the domain does not exist or its name is not valid, 5.1.10 if it accepts no
// mail, 5.4.4 if it has no host, 5.4.0 if its MX records name no host, 5.4.6
// for a CNAME loop.
func (e *DNSError) SMTP() *smtp.SMTPError {
	s := e.status()
	text := fmt.Sprintf("%s: %v", e.Name, e.Problem)
	if e.Problem == NoRecord || e.Problem == NotFound {
		text = fmt.Sprintf("%s: no %v record", e.Name, e.Type)
	}
	if e.Detail != "" {
		text += " (" + e.Detail + ")"
	}
	return &smtp.SMTPError{Code: s.code, EnhancedCode: s.enhanced, Message: text}
}

// status returns the codes of the problem. A Problem that is not known, from a
// Resolver of others, is temporary.
func (e *DNSError) status() (s dnsReply) {
	if int(e.Problem) < len(dnsStatus) {
		return dnsStatus[e.Problem]
	}
	return dnsStatus[DNSFailure]
}

func dnsError(p DNSProblem, name string, t RecordType, detail string) *DNSError {
	return &DNSError{Problem: p, Name: strings.TrimSuffix(name, "."), Type: t, Detail: detail}
}

func lookupError(p DNSProblem, name string, t RecordType, detail string) *LookupError {
	return (*LookupError)(dnsError(p, name, t, detail))
}

// lookup looks up records with r. A LookupError becomes a DNSError.
func lookup(ctx context.Context, r Resolver, name string, t RecordType) (*Answer, error) {
	a, err := resolver.Lookup(ctx, r, name, t)
	var e *LookupError
	if errors.As(err, &e) {
		return nil, (*DNSError)(e)
	}
	return a, err
}
