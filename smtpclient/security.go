package smtpclient

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/smtpclient/dane"
	"github.com/bridgehead-mail/bridgehead/smtpclient/mtasts"
)

// The names of the policies that a domain publishes.
const (
	policyDANE = "dane"
	policySTS  = "mta-sts"
)

// security is the TLS policy that applies to one host. It combines the
// TLSPolicy with the policies that the domain has published.
type security struct {
	policy string // the name of the policy that applies: "opportunistic", "dane", ...
	never  bool   // do not use TLS
	old    bool   // allow old TLS, because a handshake without it has failed
	must   bool   // TLS is required
	sni    string
	verify func(*tls.ConnectionState) error // nil accepts any certificate
	// observe is a verification whose failure is only reported: MTA-STS in
	// testing mode.
	observe func(*tls.ConnectionState) error
	// proves is true if verify proves that this is the right host, which
	// messages with REQUIRETLS require. Otherwise prove checks that, if it is
	// not nil.
	proves bool
	prove  func(*tls.ConnectionState) error
	// refused holds the AUTH mechanisms that the host refused before.
	refused refusedAuth
}

// security returns the policy that applies to one host. An error means that the
// host must not be used.
func (t *Transport) security(dst *Destination, h *Host, sts *mtasts.Policy) (security, error) {
	level := t.level(dst)
	s := security{policy: level.String(), sni: h.tlsName(), must: level > TLSOpportunistic, never: level == TLSNone}
	named := func(cs *tls.ConnectionState) error { return t.verifyName(cs, h.tlsName()) }
	switch level {
	case TLSOpportunistic, TLSEncrypt:
		if t.policy(dst).IgnorePublished {
			s.prove = t.provable(dst, named)
			return s, nil
		}
		return s, t.published(&s, dst, h, sts, named)
	case TLSCertificate:
		s.verify, s.prove = t.verifyChain, t.provable(dst, named)
	case TLSDomain:
		s.verify, s.proves = named, t.provable(dst, named) != nil
		if d := t.policy(dst).Domain; d != "" {
			s.verify = func(cs *tls.ConnectionState) error { return t.verifyName(cs, d) }
			s.proves = true
		}
	case TLSDANE:
		switch {
		case h.DANE != nil && h.DANE.Err != nil:
			return s, s.fail(h, nil, fmt.Errorf("%w: %w", errTLSALookup, h.DANE.Err))
		case h.DANE == nil || len(h.DANE.Usable()) == 0:
			return s, s.fail(h, nil, dane.ErrUnusable)
		}
		t.useDANE(&s, h)
	}
	return s, nil
}

// provable returns named if the operator configured the host's name. Otherwise
// the name comes from an MX record without DNSSEC, so a certificate for it
// proves nothing (RFC 8689, 4.2.1), and provable returns nil.
func (t *Transport) provable(dst *Destination, named func(*tls.ConnectionState) error) func(*tls.ConnectionState) error {
	if dst.Domain == "" {
		return named
	}
	return nil
}

// published raises s to the policies that the domain has published about the
// host.
func (t *Transport) published(s *security, dst *Destination, h *Host, sts *mtasts.Policy, named func(*tls.ConnectionState) error) error {
	if h.DANE != nil && (h.DANE.Err != nil || len(h.DANE.Records) > 0) {
		s.policy, s.must = policyDANE, true
		switch {
		case h.DANE.Err != nil:
			return s.fail(h, nil, fmt.Errorf("%w: %w", errTLSALookup, h.DANE.Err))
		case len(h.DANE.Usable()) > 0:
			t.useDANE(s, h)
			return nil
		}
		// If no record is usable, TLS is required but the certificate is not
		// verified by DANE (RFC 7672, 2.2). MTA-STS may still apply.
	}
	switch {
	case sts != nil && sts.Mode == mtasts.Enforce:
		s.policy, s.must, s.verify, s.proves = policySTS, true, named, true
		if !sts.Matches(h.Name) {
			return s.fail(h, nil, fmt.Errorf("%w of %s, which lists %q", errNotListed, or(h.Domain, dst.Domain), sts.MX))
		}
	case sts != nil && sts.Mode == mtasts.Testing:
		s.observe = func(cs *tls.ConnectionState) error {
			if !sts.Matches(h.Name) {
				return errNotListed
			}
			return named(cs)
		}
	default:
		s.prove = t.provable(dst, named)
	}
	return nil
}

// useDANE makes s verify the certificate by the host's TLSA records.
func (t *Transport) useDANE(s *security, h *Host) {
	if len(h.DANE.Names) > 0 {
		s.sni = strings.TrimSuffix(h.DANE.Names[0], ".")
	}
	s.proves = true
	s.verify = func(cs *tls.ConnectionState) error { return h.DANE.Verify(cs.PeerCertificates, t.now()) }
}

// fail returns the error for a policy that is not met.
func (s *security) fail(h *Host, cs *tls.ConnectionState, err error) error {
	e := &TLSError{Policy: s.policy, Host: h.Name, Err: err}
	if cs != nil && len(cs.PeerCertificates) > 0 {
		e.Certificate = describeCert(cs.PeerCertificates[0])
	}
	return e
}

// policy returns the policy for dst.
func (t *Transport) policy(dst *Destination) TLSPolicy {
	if dst.TLS != nil {
		return *dst.TLS
	}
	return t.TLS
}

// level returns the level for dst, with TLSDefault replaced.
func (t *Transport) level(dst *Destination) TLSLevel {
	l := t.policy(dst).Level
	if l == TLSDefault {
		l = TLSOpportunistic
		if t.auth(dst) != nil && !t.AllowInsecureAuth {
			l = TLSDomain
		}
	}
	return l
}

// tlsName returns the host's name in the form of certificates.
func (h *Host) tlsName() string {
	name := strings.TrimSuffix(strings.TrimPrefix(h.Name, "["), "]")
	if len(name) > 5 && strings.EqualFold(name[:5], "IPv6:") {
		name = name[5:]
	}
	return addr.FoldDomain(name)
}

// tlsConfig returns the configuration for one handshake. The policy does all
// verification, also for a resumed session.
func (t *Transport) tlsConfig(dst *Destination, tg *target, s *security) *tls.Config {
	cfg := &tls.Config{}
	if t.TLSConfig != nil {
		cfg = t.TLSConfig.Clone()
	}
	if cfg.ClientSessionCache == nil {
		cfg.ClientSessionCache = t.tlsSessions()
	}
	cfg.ClientSessionCache = scopedCache{cfg.ClientSessionCache, t.sessionScope(dst, tg, s)}
	limitTLS(cfg, s.old || s.must && t.policy(dst).AllowOld)
	if s.old && cfg.MaxVersion == 0 {
		cfg.MaxVersion = tls.VersionTLS12 // some old hosts fail if TLS 1.3 is offered
	}
	cfg.ServerName = s.sni
	cfg.InsecureSkipVerify = true // VerifyConnection verifies instead
	cfg.VerifyPeerCertificate = nil
	cfg.VerifyConnection = func(cs tls.ConnectionState) error {
		if s.verify == nil {
			return nil
		}
		if err := s.verify(&cs); err != nil {
			return s.fail(&tg.host, &cs, err)
		}
		return nil
	}
	return cfg
}

// now returns the time by which certificates are verified.
func (t *Transport) now() time.Time {
	if t.TLSConfig != nil && t.TLSConfig.Time != nil {
		return t.TLSConfig.Time()
	}
	return time.Now()
}

var (
	errTLSALookup    = errors.New("TLSA lookup failed")
	errNotListed     = errors.New("the host is not listed in the MTA-STS policy")
	errNoCertificate = errors.New("the host sent no certificate")
)

// verifyChain checks that the certificate chains to a trusted root.
func (t *Transport) verifyChain(cs *tls.ConnectionState) error {
	if len(cs.PeerCertificates) == 0 {
		return errNoCertificate
	}
	opts := x509.VerifyOptions{Intermediates: x509.NewCertPool(), CurrentTime: t.now()}
	if t.TLSConfig != nil {
		opts.Roots = t.TLSConfig.RootCAs
	}
	for _, cert := range cs.PeerCertificates[1:] {
		opts.Intermediates.AddCert(cert)
	}
	_, err := cs.PeerCertificates[0].Verify(opts)
	return err
}

// verifyName checks the chain, and that the certificate is for name. If name
// begins with a dot, the certificate must be for a name below it. Names in
// certificates are A-labels.
func (t *Transport) verifyName(cs *tls.ConnectionState, name string) error {
	domain, below := strings.CutPrefix(name, ".")
	name = addr.FoldDomain(domain)
	if err := t.verifyChain(cs); err != nil {
		return err
	}
	cert := cs.PeerCertificates[0]
	if !below {
		return cert.VerifyHostname(name)
	}
	name = "." + name
	for _, n := range cert.DNSNames {
		n = strings.TrimPrefix(n, "*")
		if len(n) >= len(name) && strings.EqualFold(n[len(n)-len(name):], name) {
			return nil
		}
	}
	return fmt.Errorf("the certificate is for %q, and none of these names is below %s", cert.DNSNames, name[1:])
}
