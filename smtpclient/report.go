package smtpclient

import (
	"crypto/x509"
	"errors"
	"net"
	"strings"

	"github.com/bridgehead-mail/bridgehead/smtpclient/dane"
	"github.com/bridgehead-mail/bridgehead/smtpclient/mtasts"
	"github.com/bridgehead-mail/bridgehead/smtpclient/tlsrpt"
)

// report passes the result of the TLS negotiation with a host to TLSReport. c is
// the session; it is nil if the policy excluded the host. Sessions that ignore
// the policies of the domain are not reported.
func (t *Transport) report(dst *Destination, tg *target, s *security, c *Client, err error) {
	if t.TLSReport == nil || tg.domain == "" || s.never || t.policy(dst).IgnorePublished || err != nil && contextual(err) {
		return
	}
	r := tlsrpt.Session{Domain: tg.domain, Policy: reportedPolicy(tg, s), MXHost: tg.host.Name, ReceivingIP: ipOf(tg.addr)}
	if c != nil {
		r.MXHelo = c.helo
		if a := c.raw.LocalAddr(); a != nil {
			r.SendingIP = ipOf(a.String())
		}
	}
	switch {
	case err == nil && c.tls == nil:
		err = errNoSTARTTLS // the session uses plain text
	case err == nil && s.observe != nil:
		err = s.observe(c.tls) // testing: reported, not enforced
	}
	if err != nil {
		r.Result, r.Info = resultType(err), printable([]byte(err.Error()))
	}
	t.TLSReport(r)
}

// reportPolicyError reports that a domain's MTA-STS policy could not be fetched.
func (t *Transport) reportPolicyError(domain string, err error) {
	var e *mtasts.Error
	if t.TLSReport != nil && errors.As(err, &e) {
		t.TLSReport(tlsrpt.Session{Domain: domain, Policy: tlsrpt.Policy{Type: tlsrpt.STS}, Result: e.Type, Info: printable([]byte(e.Err.Error()))})
	}
}

// reportedPolicy returns the policy of the domain that was applied to the host.
func reportedPolicy(tg *target, s *security) tlsrpt.Policy {
	d := tg.host.DANE
	published := d != nil && (d.Err != nil || len(d.Records) > 0)
	if tg.sts != nil && (!published || s.policy == policySTS || s.observe != nil) {
		lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(tg.sts.Text, "\r\n", "\n")), "\n")
		return tlsrpt.Policy{Type: tlsrpt.STS, Strings: lines, MXHosts: tg.sts.MX}
	}
	if !published {
		return tlsrpt.Policy{Type: tlsrpt.NoPolicy}
	}
	p := tlsrpt.Policy{Type: tlsrpt.TLSA}
	for _, r := range d.Records {
		p.Strings = append(p.Strings, r.String())
	}
	return p
}

// resultType returns the result type of RFC 8460, 4.3 for a failure.
func resultType(err error) string {
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	var authority x509.UnknownAuthorityError
	switch {
	case errors.Is(err, errNoSTARTTLS), errors.Is(err, errSTARTTLSRefused):
		return tlsrpt.StartTLSNotSupported
	case errors.Is(err, errTLSALookup):
		return tlsrpt.DNSSECInvalid
	case errors.Is(err, dane.ErrUnusable):
		return tlsrpt.DANERequired
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return tlsrpt.CertificateExpired
	case errors.As(err, &name):
		return tlsrpt.CertificateHostMismatch
	case errors.As(err, &authority):
		return tlsrpt.CertificateNotTrusted
	}
	return tlsrpt.ValidationFailure
}

// ipOf returns the IP address of "address:port", or "" for the path of a socket.
func ipOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return ""
	}
	return host
}
