package smtpclient

import (
	"fmt"
	"strings"
)

// A TLSError tells that a session does not have the TLS that its policy asks
// for: which policy, which host, which certificate.
type TLSError struct {
	Policy string // "encrypt", "certificate", "domain", "dane", "mta-sts"
	Host   string
	// Certificate is the subject, issuer and SHA-256 of the one that the host
	// showed; empty when it showed none.
	Certificate string
	Err         error
}

// Error names policy, host and certificate.
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

// A ProtocolError tells that a host broke the protocol: a malformed or endless
// reply, plain text after STARTTLS, ...
type ProtocolError struct {
	Phase   string // the command that it was a reply to, or "greeting"
	Problem string
}

// Error names the phase and the problem.
func (e *ProtocolError) Error() string { return e.Phase + ": " + e.Problem }
