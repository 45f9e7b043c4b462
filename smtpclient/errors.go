package smtpclient

// A TLSError tells that a session does not have the TLS that its policy asks
// for: which policy, which host, which certificate.
type TLSError struct {
	Policy string // "encrypt", "certificate", "domain", "dane", "mta-sts", "requiretls", ...
	Host   string
	// Certificate is the subject, issuer and SHA-256 of the one that the host
	// showed; empty when it showed none.
	Certificate string
	Err         error
}

func (e *TLSError) Error() string { return "" }
func (e *TLSError) Unwrap() error { return e.Err }

// A ProtocolError tells that a host broke the protocol: a malformed or endless
// reply, plain text after STARTTLS, ...
type ProtocolError struct {
	Phase   string // the command that it was a reply to, or "greeting"
	Problem string
}

func (e *ProtocolError) Error() string { return "" }
