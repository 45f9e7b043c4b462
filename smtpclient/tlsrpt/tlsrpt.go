// Package tlsrpt collects how TLS sessions ended and writes the daily reports
// about it (RFC 8460).
package tlsrpt

// A Session is one attempt to negotiate TLS with one host.
type Session struct {
	PolicyDomain string
	PolicyType   string // "tlsa", "sts" or "no-policy-found"
}
