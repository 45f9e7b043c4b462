package routing

import (
	"fmt"
	"strings"

	"github.com/emersion/go-smtp"
	"github.com/miekg/dns"
)

// A DNSProblem is the reason why a DNS lookup does not lead to a host.
type DNSProblem uint8

const (
	// DNSUnavailable: no server answered in time.
	DNSUnavailable DNSProblem = iota
	// DNSFailure: the servers reported a failure, or sent an answer that is
	// not valid. Failures are response codes such as SERVFAIL and REFUSED.
	// Validating servers also report them for DNSSEC signatures that are not
	// valid.
	DNSFailure
	// NoSuchName: the name does not exist (NXDOMAIN).
	NoSuchName
	// NoRecord: the name exists, but has no record of this type.
	NoRecord
	// BadName: the name is not a valid DNS name.
	BadName
	// AliasLoop: a chain of CNAME records is a loop, or is too long.
	AliasLoop
	// NullMX: the domain accepts no mail (RFC 7505).
	NullMX
	// MXAlias: the name in an MX record is an alias (RFC 2181, 10.3). The
	// router follows the alias unless Router.StrictMX is set.
	MXAlias
	// MXAddress: the name in an MX record is an IP address.
	MXAddress
	// NoAddress: neither the domain nor any host in its MX records has an
	// address.
	NoAddress
)

// dnsStatus has the text, the reply code and the enhanced code of each
// problem.
var dnsStatus = [...]struct {
	text     string
	code     int
	enhanced smtp.EnhancedCode
}{
	DNSUnavailable: {"no answer from the DNS servers", 451, smtp.EnhancedCode{4, 4, 3}},
	DNSFailure:     {"DNS lookup failed", 451, smtp.EnhancedCode{4, 4, 3}},
	NoSuchName:     {"no such domain", 550, smtp.EnhancedCode{5, 1, 2}},
	NoRecord:       {"no such record", 550, smtp.EnhancedCode{5, 4, 4}},
	BadName:        {"not a valid domain name", 550, smtp.EnhancedCode{5, 1, 2}},
	AliasLoop:      {"CNAME loop", 550, smtp.EnhancedCode{5, 4, 6}},
	NullMX:         {"the domain accepts no mail (null MX)", 556, smtp.EnhancedCode{5, 1, 10}},
	MXAlias:        {"the MX record names an alias", 550, smtp.EnhancedCode{5, 4, 0}},
	MXAddress:      {"the MX record names an IP address instead of a host", 550, smtp.EnhancedCode{5, 4, 0}},
	NoAddress:      {"no host with an address", 550, smtp.EnhancedCode{5, 4, 4}},
}

func (p DNSProblem) String() string {
	if int(p) < len(dnsStatus) {
		return dnsStatus[p].text
	}
	return fmt.Sprintf("DNSProblem(%d)", uint8(p))
}

// A DNSError reports that a DNS lookup found no record, or failed.
type DNSError struct {
	Problem DNSProblem
	Name    string // the name of the query
	Type    uint16 // the type of record, for example dns.TypeMX
	Detail  string // more information, for example the response code
	Err     error  // the cause; may be nil
}

func (e *DNSError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: %v", e.Name, dns.Type(e.Type), e.Problem)
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

func (e *DNSError) Unwrap() error { return e.Err }

// As lets errors.As find the *smtp.SMTPError.
func (e *DNSError) As(target any) bool { return asSMTP(target, e) }

// Temporary reports whether the same lookup can succeed later.
func (e *DNSError) Temporary() bool { return dnsStatus[e.Problem].code < 500 }

// SMTP returns the reply for the error: 4.4.3 if the servers fail, 5.1.2 if
// the domain does not exist or its name is not valid, 5.1.10 if it accepts no
// mail, 5.4.4 if it has no host, 5.4.0 if its MX records name no host, 5.4.6
// for a CNAME loop.
func (e *DNSError) SMTP() *smtp.SMTPError {
	s := dnsStatus[e.Problem]
	text := fmt.Sprintf("%s: %s", e.Name, s.text)
	if e.Problem == NoRecord {
		text = fmt.Sprintf("%s: no %s record", e.Name, dns.Type(e.Type))
	}
	if e.Detail != "" {
		text += " (" + e.Detail + ")"
	}
	return &smtp.SMTPError{Code: s.code, EnhancedCode: s.enhanced, Message: text}
}

func dnsError(p DNSProblem, name string, qtype uint16, detail string) *DNSError {
	return &DNSError{Problem: p, Name: strings.TrimSuffix(name, "."), Type: qtype, Detail: detail}
}
