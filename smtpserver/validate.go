package smtpserver

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
)

// Validate returns an error if settings contradict each other or can never
// work. Serve calls it.
func (srv *Server) Validate() error {
	if err := srv.validateNames(); err != nil {
		return err
	}
	for setting, networks := range map[string][]netip.Prefix{"ProxyFrom": srv.ProxyFrom, "XClientFrom": srv.XClientFrom, "Limits.Exempt": srv.Limits.Exempt} {
		if err := checkNetworks(networks); err != nil {
			return fmt.Errorf("smtpserver: %s: %w", setting, err)
		}
	}
	if srv.LoginLimit != nil {
		if err := srv.LoginLimit.Validate(); err != nil {
			return err
		}
	}
	if b := srv.ContentBudget; b != nil && srv.Limits.MessageSize > b.max() {
		return fmt.Errorf("smtpserver: Limits.MessageSize is %d, but ContentBudget.Max is %d", srv.Limits.MessageSize, b.max())
	} else if b == nil && srv.Limits.MessageSize > defaultContent {
		return fmt.Errorf("smtpserver: Limits.MessageSize is %d, but a ContentBudget has %d bytes by default", srv.Limits.MessageSize, int64(defaultContent))
	}
	if srv.InsecureOldTLS {
		if err := srv.validateOldTLS(); err != nil {
			return err
		}
	}
	return srv.validateTLS()
}

func (srv *Server) validateNames() error {
	notASCII := func(r rune) bool { return r >= 0x7f }
	if _, err := addr.Domain(srv.Hostname); srv.Hostname != "" && (err != nil || strings.ContainsFunc(srv.Hostname, notASCII)) {
		return fmt.Errorf("smtpserver: Hostname %q is not a host name", srv.Hostname)
	}
	if srv.DefaultDomain != "" && addr.Mailbox("x@"+srv.DefaultDomain, false) != nil {
		return fmt.Errorf("smtpserver: DefaultDomain %q is not a domain name", srv.DefaultDomain)
	}
	return nil
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
	case srv.TLSMode == TLSRequired && srv.Disable&ExtStartTLS != 0:
		return errors.New("smtpserver: TLSRequired is set, but Disable contains ExtStartTLS")
	}
	return nil
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
