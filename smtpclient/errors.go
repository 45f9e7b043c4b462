package smtpclient

import (
	"fmt"
	"strings"
)

// A TLSError means that a session does not meet its TLS policy.
type TLSError struct {
	// Policy is the policy that is not met: "encrypt", "certificate", "domain",
	// "dane" or "mta-sts". For authentication without TLS it is the name of the
	// session's TLSLevel.
	Policy string
	// Host is the name of the host.
	Host string
	// Certificate describes the host's certificate: subject, issuer, names,
	// dates and SHA-256. It is empty if the host sent none.
	Certificate string
	// Err is the cause.
	Err error
}

// Error returns a text with the policy, the host, the cause and the certificate.
func (e *TLSError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "TLS policy %s for %s: %v", e.Policy, e.Host, e.Err)
	if e.Certificate != "" {
		fmt.Fprintf(&b, " (certificate %s)", e.Certificate)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *TLSError) Unwrap() error { return e.Err }

// A ProtocolError means that a host violated the protocol, for example with a
// malformed reply, a reply without end, or plain text after STARTTLS.
type ProtocolError struct {
	// Phase is the command that the host replied to, "greeting" or
	// "end of data".
	Phase string
	// Problem describes the violation.
	Problem string
}

// Error returns the phase and the problem.
func (e *ProtocolError) Error() string { return e.Phase + ": " + e.Problem }
