package gateway

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"unicode"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/resolver"
	"github.com/bridgehead-mail/bridgehead/internal/site"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Defaults are the settings of a Gateway that its parts inherit. A field that is
// not set has the zero value: the parts then keep their own default.
//
//	type Defaults struct {
//		Hostname string
//		Logger   *slog.Logger
//		Resolver Resolver
//	}
type Defaults = site.Defaults

// A Resolver looks up records in the DNS. It is the same type as
// routing.Resolver and policy.Resolver. A routing.DNSResolver is one. To write
// another one, see routing.Resolver, which describes what its method must do:
//
//	Lookup(ctx context.Context, name string, t routing.RecordType) (*routing.Answer, error)
type Resolver = resolver.Resolver

// An Inheritor is a part of a relay that inherits settings. It has the method
//
//	Inherit(Defaults)
//
// which sets each setting of the part that is not set. Run, Validate and Check
// call it before anything runs. They may call it again, also while the part is
// in use: it must then change nothing. These types are Inheritors:
// smtpserver.Server, queue.Queue, spool.Spool, routing.Router, routing.Fetcher,
// pickup.Folder, and the logs. A type of an application can be one too.
type Inheritor = site.Inheritor

// inherit gives the parts the settings that they have no value of their own for.
func (g *Gateway) inherit() {
	g.once.Do(func() {
		g.shared = shared{
			Defaults: Defaults{Logger: g.logger(), Resolver: g.Resolver},
			logins:   new(smtpserver.LoginLimit),
			content:  g.ContentBudget,
		}
		if g.Tracking != nil && g.Queue != nil {
			g.mail = &policy.MailTracker{Queue: g.Queue}
		}
		g.setHostname()
		if isHostName(g.Hostname) { // otherwise Validate reports it once, and not for each part
			g.shared.Hostname = g.Hostname
		}
		if g.shared.content == nil {
			g.shared.content = new(smtpserver.ContentBudget)
		}
	})
	for _, srv := range g.servers() {
		g.shared.give(srv.Server)
		if g.mail != nil && srv.Server.Observe == nil {
			srv.Server.Observe = g.mail.Observe
		}
	}
	g.shared.Inherit(g.Queue, g.Tracking)
	for _, part := range g.Parts {
		g.shared.Inherit(part)
	}
	for _, part := range g.Closers {
		g.shared.Inherit(part)
	}
}

// setHostname sets Hostname to the name of the system if it is not set.
func (g *Gateway) setHostname() {
	if g.Hostname != "" {
		return
	}
	name, err := os.Hostname()
	if err != nil || !isHostName(name) {
		name = "localhost"
	}
	g.Hostname = name
	g.log(slog.LevelInfo, "Hostname is not set, the name of the system is used", "hostname", name)
}

// isHostName reports whether a name can be the name of a server: letters, digits and
// hyphens, which are not at the beginning or end of a label, and not an IP address
// (RFC 1123, 2.1). An internationalized name must be in the form of ASCII (xn--...),
// because clients without SMTPUTF8 read it in the greeting.
func isHostName(name string) bool {
	if strings.ContainsFunc(name, func(r rune) bool { return r > unicode.MaxASCII }) {
		return false
	}
	name, err := addr.HostName(name)
	if err != nil || strings.Contains(name, "_") {
		return false
	}
	last := ""
	for last = range strings.SplitSeq(name, ".") {
		if strings.HasPrefix(last, "-") || strings.HasSuffix(last, "-") {
			return false
		}
	}
	return strings.Trim(last, "0123456789") != ""
}

// shared are the settings that the parts of a relay share.
type shared struct {
	Defaults
	logins  *smtpserver.LoginLimit
	content *smtpserver.ContentBudget
}

// give sets the settings of a server that are not set.
func (s *shared) give(srv *smtpserver.Server) {
	if srv == nil {
		return
	}
	if srv.LoginLimit == nil {
		srv.LoginLimit = s.logins
	}
	if srv.ContentBudget == nil {
		srv.ContentBudget = s.content
	}
	srv.Inherit(s.Defaults)
}

// A namedServer is a server of the Gateway, and the path of the field that
// contains it.
type namedServer struct {
	Path   string
	Server *smtpserver.Server
}

// servers returns all servers, without those that are nil.
func (g *Gateway) servers() []namedServer {
	var all []namedServer
	add := func(path string, srv *smtpserver.Server) {
		if srv != nil {
			all = append(all, namedServer{path, srv})
		}
	}
	for i, l := range g.Listeners {
		add(fmt.Sprintf("Listeners[%d].Server", i), l.server())
	}
	for i, srv := range g.Servers {
		add(fmt.Sprintf("Servers[%d]", i), srv)
	}
	return all
}
