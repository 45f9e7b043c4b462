package oauth

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/oauth2"
)

// An Error means that there is no token. Its text and its fields have no part of the
// response except known codes.
type Error struct {
	// Host is the host of the token endpoint.
	Host string
	// Status is the HTTP status of the response. It is 0 if there was none.
	Status int
	// Code is the error code (RFC 6749, 5.2), as "invalid_client". It is empty if the
	// response has none that is known.
	Code string
	// AADSTS is the number of the error at Microsoft Entra; 0 if there is none.
	AADSTS int
	// Advice says what the error means and what to do.
	Advice string
	// Err is why there was no response. It may be nil.
	Err error
}

// Error returns the codes and the advice.
func (e *Error) Error() string {
	s := "no access token from " + e.Host
	switch {
	case e.AADSTS != 0:
		s += fmt.Sprintf(": AADSTS%d", e.AADSTS)
	case e.Code != "":
		s += ": " + e.Code
	case e.Status != 0:
		s += fmt.Sprintf(": HTTP status %d", e.Status)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Advice != "" {
		s += ": " + e.Advice
	}
	return s
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// knownCodes are the error codes of RFC 6749 (5.2) and those that Google and Microsoft
// add.
var knownCodes = []string{
	"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope",
	"access_denied", "disabled_client", "deleted_client", "admin_policy_enforced", "org_internal", "invalid_resource",
	"interaction_required", "consent_required", "temporarily_unavailable", "server_error", "internal_failure",
}

var aadsts = regexp.MustCompile(`\bAADSTS([0-9]{5,8})\b`)

// refusal returns the Error for a response that has no token.
func refusal(host string, err error) *Error {
	e := &Error{Host: host, Advice: noToken}
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) {
		return e
	}
	if refused.Response != nil {
		e.Status = refused.Response.StatusCode
	}
	code, description := refused.ErrorCode, refused.ErrorDescription
	if code == "" { // the package jwt does not parse the body
		var body struct {
			Error       string `json:"error"`
			Description string `json:"error_description"`
		}
		if json.Unmarshal(refused.Body, &body) == nil {
			code, description = body.Error, body.Description
		}
	}
	if slices.Contains(knownCodes, code) {
		e.Code = code
	}
	if m := aadsts.FindStringSubmatch(description); m != nil {
		e.AADSTS, _ = strconv.Atoi(m[1]) // digits
	}
	e.Advice = advice(e, description)
	return e
}

// cause returns err without text of the response, which the errors of net/http may
// have.
func cause(err error) error {
	var (
		timeout net.Error
		network *net.OpError
		dns     *net.DNSError
		cert    *tls.CertificateVerificationError
	)
	switch {
	case errors.Is(err, errLong):
		return errLong
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return errTime
	case errors.As(err, &cert), errors.As(err, &dns), errors.As(err, &network), strings.HasPrefix(err.Error(), "tls: "):
		return err
	}
	return errNoResponse
}

var (
	errTime       = fmt.Errorf("there was no complete response in %v", requestTime)
	errNoResponse = errors.New("the connection ended without a valid response")
)

// advice returns what to do about a refusal. description is searched for known texts,
// and no part of it is returned.
func advice(e *Error, description string) string {
	if text, found := entra[e.AADSTS]; found {
		return text
	}
	for _, known := range google {
		if e.AADSTS == 0 && known.code == e.Code && known.text.MatchString(description) {
			return known.advice
		}
	}
	if text, found := standard[e.Code]; found {
		return text
	}
	switch {
	case e.Status == http.StatusTooManyRequests:
		return "too many requests; the relay tries again"
	case e.Status >= 500:
		return "the fault is at the token endpoint; the relay tries again"
	case e.Status/100 == 3:
		return "the token endpoint redirects; the relay does not follow, because it would send its secret to another host"
	case e.AADSTS != 0:
		return fmt.Sprintf("see https://login.microsoftonline.com/error?code=%d", e.AADSTS)
	}
	return noToken
}
