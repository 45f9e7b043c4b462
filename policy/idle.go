package policy

import (
	"errors"
	"fmt"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// idle returns an error for each grant that no client of the server can ever
// get: the grant is for authenticated clients, and no client can authenticate.
func (r *Relay) idle(srv *smtpserver.Server) error {
	if canLogIn(srv) {
		return nil
	}
	why := "its Auth is not set"
	if srv.Auth != nil {
		why = "its Auth requires TLS, but TLS is not configured, and AllowInsecureAuth is not set"
	}
	var errs []error
	for i, grant := range r.all() {
		if !grant.To.usersOnly() {
			continue
		}
		setting := "Authenticated"
		if i < len(r.Grants) {
			setting = fmt.Sprintf("Grants[%d]", i)
		}
		errs = append(errs, fmt.Errorf("policy: %s: no client can log in to this server: %s", setting, why))
	}
	return errors.Join(errs...)
}

// canLogIn reports whether a session can get an identity: by AUTH, from a
// front end (XCLIENT), or from an agent of the application that runs before
// RCPT.
func canLogIn(srv *smtpserver.Server) bool {
	for i := range srv.Agents {
		a := &srv.Agents[i]
		if a.Connect != nil || a.Helo != nil || a.StartTLS != nil || a.Mail != nil || a.Command != nil {
			return true
		}
	}
	offered := srv.AllowInsecureAuth || srv.TLSConfig != nil && srv.TLSMode != smtpserver.TLSOff
	return srv.Auth != nil && offered || len(srv.XClientFrom) > 0
}

// usersOnly reports whether only authenticated clients match.
func (c *Clients) usersOnly() bool {
	return (c.Authenticated || len(c.Identities) > 0) && !c.Everyone && !c.Anonymous &&
		len(c.Networks)+len(c.Hosts)+len(c.CertificateKeys)+len(c.CertificateNames) == 0
}
