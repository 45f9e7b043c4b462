package mtasts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// An Error reports why the policy that a domain announces could not be
// fetched.
type Error struct {
	Domain string
	// Type is the result type of RFC 8460, 4.3: "sts-policy-fetch-error",
	// "sts-policy-invalid" or "sts-webpki-invalid".
	Type string
	Err  error
}

// Error returns the domain and the cause.
func (e *Error) Error() string { return "MTA-STS policy of " + e.Domain + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// The result types of RFC 8460, 4.3 for policies.
const (
	FetchError    = "sts-policy-fetch-error"
	Invalid       = "sts-policy-invalid"
	WebPKIInvalid = "sts-webpki-invalid"
)

// defaultClient ignores the proxy settings of the environment and does not
// reuse connections.
var defaultClient = &http.Client{
	Timeout: time.Minute, // RFC 8461, 3.3
	Transport: &http.Transport{
		DisableKeepAlives:      true,
		TLSHandshakeTimeout:    30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
	},
}

// fetch fetches a domain's policy (RFC 8461, 3.3).
func (c *Cache) fetch(ctx context.Context, domain string) (*Policy, error) {
	client := *defaultClient
	if c.Client != nil {
		client = *c.Client
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	url := "https://mta-sts." + domain + "/.well-known/mta-sts.txt"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, &Error{domain, FetchError, err}
	}
	req.Header.Set("User-Agent", "Bridgehead")
	resp, err := client.Do(req)
	if err != nil {
		return nil, &Error{domain, fetchErrorType(err), err}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, &Error{domain, FetchError, fmt.Errorf("%s: status %s", url, resp.Status)}
	}
	// Only the media type matters: parameters, even malformed ones, do not
	// change how a policy is read.
	if kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";"); !strings.EqualFold(strings.TrimSpace(kind), "text/plain") {
		return nil, &Error{domain, Invalid, fmt.Errorf("%s: content type %.60q is not text/plain", url, resp.Header.Get("Content-Type"))}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxPolicy+1))
	if err != nil {
		return nil, &Error{domain, FetchError, err}
	}
	p, err := ParsePolicy(string(body))
	if err != nil {
		return nil, &Error{domain, Invalid, err}
	}
	return p, nil
}

func fetchErrorType(err error) string {
	var verification *tls.CertificateVerificationError
	var host x509.HostnameError
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	if errors.As(err, &verification) || errors.As(err, &host) || errors.As(err, &unknown) || errors.As(err, &invalid) {
		return WebPKIInvalid
	}
	return FetchError
}
