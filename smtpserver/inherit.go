package smtpserver

import "github.com/bridgehead-mail/bridgehead/internal/site"

// Defaults are the settings that all parts of a relay share. A gateway.Gateway
// gives its own to the servers, and each server gives them to its agents (see
// Agent.Inherit). A field that is not set has the zero value.
//
//	type Defaults struct {
//		Hostname string
//		Logger   *slog.Logger
//		Resolver routing.Resolver // the same type as policy.Resolver
//	}
type Defaults = site.Defaults

// Inherit sets Hostname and Logger if they are not set. It calls Inherit of all
// agents that have it, and of the Handler, the Auth and the ProtocolLog if they
// have such a method. A gateway.Gateway calls it before the server serves.
func (srv *Server) Inherit(d Defaults) {
	d.FillFor(site.PartSMTPServer, &srv.Hostname, &srv.Logger)
	d = d.For(site.PartPolicy)
	for i := range srv.Agents {
		if f := srv.Agents[i].Inherit; f != nil {
			f(d)
		}
	}
	d.Inherit(srv.Handler, srv.Auth)
	d.For(site.PartSMTPServer).Inherit(srv.ProtocolLog)
}
