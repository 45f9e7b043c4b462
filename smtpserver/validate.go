package smtpserver

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/settings"
)

// Validate returns an error that names each setting that can never work or that
// contradicts another. Serve calls it. A setting that is a problem of the
// environment and not of the program, such as a certificate that has expired, is
// not an error here: gateway.Gateway.Validate warns about it.
func (srv *Server) Validate() error {
	errs := []error{srv.validateNames(), srv.validateModes(), srv.validateParams(), srv.validateParts(), srv.validateNetworks(), srv.Limits.validate()}
	if srv.LoginLimit != nil {
		errs = append(errs, srv.LoginLimit.Validate())
	}
	if b := srv.ContentBudget; b != nil && srv.Limits.MessageSize > b.max() {
		errs = append(errs, fmt.Errorf("smtpserver: Limits.MessageSize is %d, but ContentBudget.Max is %d", srv.Limits.MessageSize, b.max()))
	} else if b == nil && srv.Limits.MessageSize > defaultContent {
		errs = append(errs, fmt.Errorf("smtpserver: Limits.MessageSize is %d, but a ContentBudget has %d bytes by default", srv.Limits.MessageSize, int64(defaultContent)))
	}
	if srv.InsecureOldTLS {
		errs = append(errs, srv.validateOldTLS())
	}
	return errors.Join(append(errs, srv.validateTLS(), srv.validateAuth())...)
}

// validateParts returns an error for an interface that contains a nil pointer, and
// the error of a protocol log that cannot be written.
func (srv *Server) validateParts() error {
	var errs []error
	for _, part := range []struct {
		name  string
		value any
	}{{"Handler", srv.Handler}, {"Auth", srv.Auth}, {"ProtocolLog", srv.ProtocolLog}} {
		if settings.IsTypedNil(part.value) {
			errs = append(errs, fmt.Errorf("%s is a nil %T", part.name, part.value))
			continue
		}
		if err := validatePart(part.value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", part.name, err))
		}
	}
	errs = append(errs, settings.Time("BannerDelay", srv.BannerDelay), settings.Time("MinDeliverBy", srv.MinDeliverBy), settings.Time("MaxHold", srv.MaxHold))
	return settings.Join("smtpserver: ", errs...)
}

// validatePart calls Validate of the types of this package. It does not call a
// Validate of the application: a Handler that embeds a *Server has that of the
// Server, and would be validated without end.
func validatePart(part any) error {
	switch p := part.(type) {
	case invalidAuth:
		return p.Validate()
	case auths:
		return p.Validate()
	case *Scram:
		return p.Validate()
	case invalidHandler:
		return p.err
	case *ProtocolLogWriter:
		if v, ok := any(p).(interface{ Validate() error }); ok {
			return v.Validate()
		}
	}
	return nil
}

func (srv *Server) validateNetworks() error {
	var errs []error
	for _, s := range []struct {
		name     string
		networks []netip.Prefix
	}{{"ProxyFrom", srv.ProxyFrom}, {"XClientFrom", srv.XClientFrom}, {"BareLFFrom", srv.BareLFFrom}, {"Limits.Exempt", srv.Limits.Exempt}} {
		if err := checkNetworks(s.networks); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
		}
	}
	return settings.Join("smtpserver: ", errs...)
}

func (l *Limits) validate() error {
	return settings.Join("smtpserver: Limits.",
		settings.Optional("MessageSize", l.MessageSize),
		settings.Optional("HeaderSize", l.HeaderSize),
		settings.Optional("MemoryContent", l.MemoryContent),
		settings.Optional("TotalMemory", l.TotalMemory),
		line("CommandLine", l.CommandLine, 512, inputSize/2), // RFC 5321, 4.5.3.1.4
		line("AuthLine", l.AuthLine, 512, inputSize/2),
		line("TextLine", l.TextLine, 1000, noLimitInt), // RFC 5321, 4.5.3.1.6
		settings.Optional("Recipients", l.Recipients),
		settings.Optional("Hops", l.Hops),
		settings.Optional("Connections", l.Connections),
		settings.Optional("ConnectionsPerAddr", l.ConnectionsPerAddr),
		settings.Optional("ConnectionsPerNetwork", l.ConnectionsPerNetwork),
		settings.Optional("ConnectionRate", l.ConnectionRate),
		settings.Optional("MessageRate", l.MessageRate),
		settings.Optional("RecipientRate", l.RecipientRate),
		settings.Optional("SessionMessages", l.SessionMessages),
		settings.Optional("SessionBytes", l.SessionBytes),
		settings.Optional("ProtocolErrors", l.ProtocolErrors),
		settings.Optional("UnknownRecipients", l.UnknownRecipients),
		settings.Optional("AuthFailures", l.AuthFailures),
		wait("Tarpit", l.Tarpit),
		wait("CommandTimeout", l.CommandTimeout),
		wait("DataTimeout", l.DataTimeout),
		settings.Optional("DataRate", l.DataRate),
		wait("HandshakeTimeout", l.HandshakeTimeout),
		wait("SessionTimeout", l.SessionTimeout),
		settings.Optional("OverloadPercent", l.OverloadPercent),
	)
}

// line checks the limit of a line length. -1 means the largest length.
func line(name string, n, shortest, longest int) error {
	if n > 0 && (n < shortest || n > longest) {
		if longest == noLimitInt {
			return fmt.Errorf("%s is %d: must be at least %d", name, n, shortest)
		}
		return fmt.Errorf("%s is %d: must be from %d to %d", name, n, shortest, longest)
	}
	return settings.Optional(name, n)
}

// wait checks a time; -1 means no limit or, for Tarpit, no delay.
func wait(name string, d time.Duration) error {
	if d < 0 {
		return settings.Optional(name, d)
	}
	return settings.Time(name, d)
}

// validateAuth returns an error if no client can log in.
func (srv *Server) validateAuth() error {
	switch {
	case srv.Auth == nil || srv.AllowInsecureAuth:
		return nil
	case srv.TLSConfig == nil || srv.TLSMode == TLSOff:
		return errors.New("smtpserver: Auth is set, but no client can log in: TLS is off, and AllowInsecureAuth is not set")
	case srv.TLSMode != TLSImplicit && srv.Disable&ExtStartTLS != 0:
		return errors.New("smtpserver: Auth is set, but no client can log in: Disable contains ExtStartTLS, and AllowInsecureAuth is not set")
	case srv.TLSConfig.MaxVersion != 0 && srv.TLSConfig.MaxVersion < tls.VersionTLS12 && !srv.InsecureOldTLSAuth:
		return fmt.Errorf("smtpserver: Auth is set, but no client can log in: TLSConfig.MaxVersion is %s, and InsecureOldTLSAuth is not set", tls.VersionName(srv.TLSConfig.MaxVersion))
	}
	return nil
}

func (srv *Server) validateNames() error {
	var errs []error
	notASCII := func(r rune) bool { return r >= 0x7f }
	if _, err := addr.Domain(srv.Hostname); srv.Hostname != "" && (err != nil || strings.ContainsFunc(srv.Hostname, notASCII)) {
		errs = append(errs, fmt.Errorf("smtpserver: Hostname %q is not a host name", srv.Hostname))
	}
	if srv.DefaultDomain != "" && addr.Mailbox("x@"+srv.DefaultDomain, false) != nil {
		errs = append(errs, fmt.Errorf("smtpserver: DefaultDomain %q is not a domain name", srv.DefaultDomain))
	}
	control := func(r rune) bool { return r < ' ' || r == 0x7f }
	if strings.ContainsFunc(srv.Name, control) {
		errs = append(errs, fmt.Errorf("smtpserver: Name %q contains a control character", srv.Name))
	}
	if strings.ContainsFunc(srv.Banner, func(r rune) bool { return control(r) || notASCII(r) }) { // RFC 5321, 4.2: textstring
		errs = append(errs, fmt.Errorf("smtpserver: Banner %q is not one line of printable ASCII", srv.Banner))
	}
	return errors.Join(errs...)
}

// validateModes returns an error for a mode that does not exist. Otherwise it
// would have the effect of another mode.
func (srv *Server) validateModes() error {
	var errs []error
	if srv.TLSMode < TLSOffered || srv.TLSMode > TLSImplicit {
		errs = append(errs, fmt.Errorf("TLSMode is %d: there is no such mode", srv.TLSMode))
	}
	if srv.BareBytes > BareNormalize {
		errs = append(errs, fmt.Errorf("BareBytes is %d: there is no such mode", srv.BareBytes))
	}
	return settings.Join("smtpserver: ", errs...)
}

// validateParams returns an error for a parameter of an agent that no command can
// have. The server compares parameters in upper case.
func (srv *Server) validateParams() error {
	var errs []error
	for i, a := range srv.Agents {
		for _, list := range []struct {
			field string
			names []string
		}{{"MailParams", a.MailParams}, {"RcptParams", a.RcptParams}} {
			for _, name := range list.names {
				if !isUpperKeyword(name) {
					errs = append(errs, fmt.Errorf("smtpserver: Agents[%d] (%s): %s: %q is not a keyword in upper case", i, a.Name, list.field, name))
				}
			}
		}
	}
	return errors.Join(errs...)
}

// isUpperKeyword reports whether name is an esmtp-keyword (RFC 5321, 4.1.2)
// without lower-case letters.
func isUpperKeyword(name string) bool {
	return name != "" && name[0] != '-' && !strings.ContainsFunc(name, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z')
	})
}

func (srv *Server) validateOldTLS() error {
	switch c := srv.TLSConfig; {
	case c == nil || srv.TLSMode == TLSOff:
		return errors.New("smtpserver: InsecureOldTLS is set, but TLS is off")
	case c.MinVersion != 0:
		return fmt.Errorf("smtpserver: InsecureOldTLS is set, but TLSConfig.MinVersion is %s", tls.VersionName(c.MinVersion))
	}
	return nil
}

func (srv *Server) validateTLS() error {
	must := map[TLSMode]string{TLSRequired: "TLSRequired", TLSImplicit: "TLSImplicit"}[srv.TLSMode]
	switch c := srv.TLSConfig; {
	case c == nil && must != "":
		return fmt.Errorf("smtpserver: TLSMode is %s, but TLSConfig is nil", must)
	case c == nil || srv.TLSMode == TLSOff:
	case len(c.Certificates) == 0 && c.GetCertificate == nil && c.GetConfigForClient == nil:
		return errors.New("smtpserver: TLSConfig has no certificate: neither Certificates, GetCertificate nor GetConfigForClient is set")
	case c.MinVersion != 0 && c.MaxVersion != 0 && c.MinVersion > c.MaxVersion:
		return fmt.Errorf("smtpserver: TLSConfig.MinVersion is %s, but MaxVersion is %s", tls.VersionName(c.MinVersion), tls.VersionName(c.MaxVersion))
	case srv.TLSMode == TLSRequired && srv.Disable&ExtStartTLS != 0:
		return errors.New("smtpserver: TLSRequired is set, but Disable contains ExtStartTLS")
	default:
		return checkCertificates(c.Certificates)
	}
	return nil
}

// checkCertificates returns an error for a certificate that no handshake can use.
func checkCertificates(certificates []tls.Certificate) error {
	for i := range certificates {
		c := &certificates[i]
		switch {
		case len(c.Certificate) == 0:
			return fmt.Errorf("smtpserver: TLSConfig.Certificates[%d] is empty: it has no certificate", i)
		case c.PrivateKey == nil:
			return fmt.Errorf("smtpserver: TLSConfig.Certificates[%d] has no private key", i)
		}
		leaf, err := x509.ParseCertificate(c.Certificate[0])
		if err != nil {
			return fmt.Errorf("smtpserver: TLSConfig.Certificates[%d]: %w", i, err)
		}
		if !ownKey(c.PrivateKey, leaf) {
			return fmt.Errorf("smtpserver: TLSConfig.Certificates[%d]: the private key does not belong to the certificate", i)
		}
	}
	return nil
}

// ownKey reports whether a private key belongs to a certificate. If the types do
// not tell, it returns true.
func ownKey(private any, c *x509.Certificate) bool {
	signer, ok := private.(crypto.Signer)
	if !ok {
		return true
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	return !ok || public.Equal(c.PublicKey)
}

// checkNetworks returns an error for a prefix that is not valid, or that has
// bits beyond its length: then it is unclear whether it means the network or
// the address.
func checkNetworks(networks []netip.Prefix) error {
	for _, p := range networks {
		switch {
		case !p.IsValid():
			return fmt.Errorf("network %v is not a valid prefix", p)
		case p != p.Masked():
			return fmt.Errorf("network %v has bits set beyond the prefix length; did you mean %v?", p, p.Masked())
		}
	}
	return nil
}
