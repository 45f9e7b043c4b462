package oauth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

const (
	// maxResponse is the longest response of a token endpoint, in bytes.
	maxResponse = 64 << 10
	// maxToken is the longest token, in bytes. Entra's have about 2,000.
	maxToken = 16 << 10
)

// newTransport returns the HTTP transport for one token endpoint.
func newTransport(roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: maxResponse,
		DisableKeepAlives:      true, // there is one request in an hour
	}
}

// An exchange is a RoundTripper for one request. It refuses a long response, and keeps
// the error, which the package jwt does not wrap. It sends the request in its own
// context, which the package jwt does not do.
type exchange struct {
	ctx       context.Context
	transport *http.Transport
	err       error
}

func (x *exchange) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := x.transport.RoundTrip(req.WithContext(x.ctx))
	if err != nil {
		x.err = err
		return nil, err
	}
	resp.Body = &shortBody{resp.Body, maxResponse, x}
	return resp, nil
}

// client returns an HTTP client for the request. It follows no redirect: that would
// send the secret to another host.
func (x *exchange) client() *http.Client {
	return &http.Client{Transport: x, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

var errLong = errors.New("the response is longer than 64 KiB")

// shortBody is a body of which at most left bytes can be read.
type shortBody struct {
	io.ReadCloser
	left     int
	exchange *exchange
}

func (b *shortBody) Read(p []byte) (int, error) {
	if len(p) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= n; b.left < 0 {
		n, err = 0, errLong
	}
	if err != nil && err != io.EOF {
		b.exchange.err = err
	}
	return n, err
}

// checkHost returns an error if a secret must not be sent to host, which may have a
// port.
func checkHost(host string) error {
	u, err := url.Parse("https://" + host)
	if err != nil || u.Host != host || !named(u.Hostname()) || strings.HasPrefix(host, ":") {
		return fmt.Errorf("oauth: Host %q is not the name of a host, which a certificate can prove", host)
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("oauth: the port of Host %q is not valid", host)
		}
	}
	return nil
}

// granted returns fetch with a check of the token, and with errors that have no text
// of the response. The context of fetch has the HTTP client.
func granted(endpoint string, roots *x509.CertPool, fetch func(context.Context) (*oauth2.Token, error)) func(context.Context) (grant, error) {
	transport := newTransport(roots)
	host := endpoint
	if u, err := url.Parse(endpoint); err == nil {
		host = u.Host
	}
	return func(ctx context.Context) (grant, error) {
		x := &exchange{ctx: ctx, transport: transport}
		t, err := fetch(context.WithValue(ctx, oauth2.HTTPClient, x.client()))
		switch {
		case err != nil && ctx.Err() != nil: // x.err may be another one: the host ends the response when the client leaves
			return grant{}, &Error{Host: host, Err: errTime}
		case x.err != nil:
			return grant{}, &Error{Host: host, Err: cause(x.err)}
		case err != nil:
			return grant{}, refusal(host, err)
		}
		if !tokenText(t.AccessToken) || t.TokenType != "" && !strings.EqualFold(t.TokenType, "Bearer") {
			return grant{}, &Error{Host: host, Advice: noToken}
		}
		var lifetime time.Duration
		if !t.Expiry.IsZero() {
			lifetime = max(time.Until(t.Expiry), time.Second)
		}
		return grant{t.AccessToken, lifetime}, nil
	}
}

// tokenText reports whether s has only the characters of a token (RFC 6749, A.12):
// others could end the line or the field that the token is in.
func tokenText(s string) bool {
	return s != "" && len(s) <= maxToken && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}
