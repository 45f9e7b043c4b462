package sendsec

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/bridgehead-mail/bridgehead/routing"
)

// newClient returns an HTTP client for the policies and reports of other domains. It
// looks up hosts with the Resolver of the relay, so that -dns applies, and follows no
// redirects.
func newClient(r routing.Resolver) *http.Client {
	return &http.Client{
		Timeout:       time.Minute, // RFC 8461, 3.3
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            dialer{r}.dial,
			DisableKeepAlives:      true,
			TLSHandshakeTimeout:    30 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12}, // RFC 9325
		},
	}
}

// A dialer connects to hosts by name.
type dialer struct{ resolver routing.Resolver }

// dial connects to the first address that answers.
func (d dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs, err := d.lookup(ctx, host)
	for n, a := range addrs {
		var conn net.Conn
		// The last address has all the time that is left.
		limited, cancel := ctx, context.CancelFunc(func() {})
		if n < len(addrs)-1 {
			limited, cancel = context.WithTimeout(ctx, 10*time.Second)
		}
		conn, err = new(net.Dialer).DialContext(limited, network, net.JoinHostPort(a.String(), port))
		cancel()
		if err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// lookup returns the addresses of a host, those of IPv4 first, or an error.
func (d dialer) lookup(ctx context.Context, host string) (addrs []netip.Addr, err error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	for _, t := range []routing.RecordType{routing.TypeA, routing.TypeAAAA} {
		answer, err2 := d.resolver.Lookup(ctx, host, t)
		if err2 == nil {
			addrs = append(addrs, answer.Addrs...)
		}
		err = errors.Join(err, err2)
	}
	if len(addrs) > 0 {
		err = nil
	}
	return addrs, err
}
