package policy

import (
	"errors"
	"fmt"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// idle tells the grants that nobody can ever have on the server: they are for
// those who have logged in, and nobody can.
func (r *Relay) idle(srv *smtpserver.Server) error {
	if canLogIn(srv) {
		return nil
	}
	why := "its Auth is not set"
	if srv.Auth != nil {
		why = "its Auth is offered under TLS only, for which there is no TLSConfig, and AllowInsecureAuth is not set"
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
		errs = append(errs, fmt.Errorf("policy: %s: nobody can log in to this server: %s", setting, why))
	}
	return errors.Join(errs...)
}

// canLogIn says whether a session may come to have an identity: by AUTH, by the
// word of a front end, or from an agent of the application's own that is asked
// before recipients are.
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

// usersOnly says whether all clients of the class have logged in.
func (c *Clients) usersOnly() bool {
	return (c.Authenticated || len(c.Identities) > 0) && !c.Everyone && !c.Anonymous &&
		len(c.Networks)+len(c.Hosts)+len(c.CertificateKeys)+len(c.CertificateNames) == 0
}
