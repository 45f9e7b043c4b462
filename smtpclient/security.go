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

// Policies that a domain publishes, by their names in texts.
const (
	policyDANE = "dane"
	policySTS  = "mta-sts"
)

// security is what a TLSPolicy comes to for one host, with what its domain
// has published: whether TLS must be, and what the certificate must prove.
type security struct {
	policy string // the name of what decides, for texts: "opportunistic", "dane", ...
	never  bool   // no TLS
	old    bool   // old TLS, after a handshake without it has failed
	must   bool   // no mail without TLS
	sni    string
	verify func(*tls.ConnectionState) error // nil accepts any certificate
	// observe is a verification whose failure is only reported: MTA-STS in
	// testing mode.
	observe func(*tls.ConnectionState) error
	// proves says that verify leaves no doubt that it is the right host, which
	// messages with REQUIRETLS ask for; otherwise prove, where it is set, can
	// find that out.
	proves bool
	prove  func(*tls.ConnectionState) error
	// refused is what AUTH mechanisms the host has refused in sessions before.
	refused refusedAuth
}

// security resolves the policy for one host. An error means that the host
// must not be used.
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

// provable is named, where a certificate for the host's name proves anything:
// where the operator gave that name. What an unsigned DNS says of an MX proves
// nothing (RFC 8689, 4.2.1).
func (t *Transport) provable(dst *Destination, named func(*tls.ConnectionState) error) func(*tls.ConnectionState) error {
	if dst.Domain == "" {
		return named
	}
	return nil
}

// published raises s to what the domain has published about the host.
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
		// Records of which none is usable ask for TLS, but cannot say whose
		// (RFC 7672, 2.2); MTA-STS still may.
	}
	switch {
	case sts != nil && sts.Mode == mtasts.Enforce:
		s.policy, s.must, s.verify, s.proves = policySTS, true, named, true
		if !sts.Matches(h.Name) {
			return s.fail(h, nil, fmt.Errorf("%w of %s, which has %q", errNotListed, or(h.Domain, dst.Domain), sts.MX))
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

// useDANE has the host's TLSA records decide.
func (t *Transport) useDANE(s *security, h *Host) {
	if len(h.DANE.Names) > 0 {
		s.sni = strings.TrimSuffix(h.DANE.Names[0], ".")
	}
	s.proves = true
	s.verify = func(cs *tls.ConnectionState) error { return h.DANE.Verify(cs.PeerCertificates, t.now()) }
}

// fail is the error of a policy that is not met.
func (s *security) fail(h *Host, cs *tls.ConnectionState, err error) error {
	e := &TLSError{Policy: s.policy, Host: h.Name, Err: err}
	if cs != nil && len(cs.PeerCertificates) > 0 {
		e.Certificate = describeCert(cs.PeerCertificates[0])
	}
	return e
}

// policy is the one that applies to dst.
func (t *Transport) policy(dst *Destination) TLSPolicy {
	if dst.TLS != nil {
		return *dst.TLS
	}
	return t.TLS
}

// level is the policy's, its default resolved.
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

// tlsName is the host's name as a certificate has it.
func (h *Host) tlsName() string {
	name := strings.TrimSuffix(strings.TrimPrefix(h.Name, "["), "]")
	if len(name) > 5 && strings.EqualFold(name[:5], "IPv6:") {
		name = name[5:]
	}
	return addr.FoldDomain(name)
}

// tlsConfig is the configuration for one handshake. All verification is the
// policy's, also at a resumed session.
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
		cfg.MaxVersion = tls.VersionTLS12 // some old hosts do not tolerate an offer of more
	}
	cfg.ServerName = s.sni
	cfg.InsecureSkipVerify = true // VerifyConnection does it
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

func (t *Transport) now() time.Time {
	if t.TLSConfig != nil && t.TLSConfig.Time != nil {
		return t.TLSConfig.Time()
	}
	return time.Now()
}

var (
	errTLSALookup = errors.New("TLSA lookup")
	errNotListed  = errors.New("host is not listed in the policy")
)

var errNoCertificate = errors.New("the host showed no certificate")

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

// verifyName checks the chain, and that the certificate is for name, or for
// any name below a name that begins with a dot. Certificates have A-labels.
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
	return fmt.Errorf("certificate is for %q, none below %s", cert.DNSNames, name[1:])
}
