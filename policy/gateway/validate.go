package gateway

import (
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/site"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Validate checks all settings together: those of each part, and whether the
// parts fit together. It returns an error that joins a *[Finding] for each
// setting that cannot work or that contradicts another one. Each text begins
// with the path of the field, for example
//
//	Listeners[0].Server.TLSConfig: Certificates[0] is empty
//
// Warnings are not part of the error: Run logs them, and [Gateway.Check] returns
// them. Validate sends nothing, opens no socket and creates no file. It first
// gives the parts the settings that they inherit, as Run does. Run calls
// Validate.
func (g *Gateway) Validate() error {
	g.inherit()
	return g.validate().errs()
}

// Warnings returns the settings that are probably wrong, although the relay can run
// with them. Run logs them. Like Validate, it first gives the parts the settings that
// they inherit.
func (g *Gateway) Warnings() []Finding {
	g.inherit()
	return slices.DeleteFunc(g.validate(), func(f Finding) bool { return f.Severity != Warning })
}

// validate returns errors and warnings.
func (g *Gateway) validate() (f findings) {
	g.validateSettings(&f)
	g.validateListeners(&f)
	for _, s := range g.servers() {
		g.validateServer(&f, s)
	}
	g.validateQueue(&f)
	g.validateLogs(&f)
	if g.Queue != nil {
		if v, is := g.Queue.Deliverer.(site.Validator); is && !isNil(v) {
			f.addSite(v.ValidateSite(g.site()))
		}
	}
	return f
}

// addSite adds the findings of the Deliverer. Those about a connector get the
// path of the Deliverer.
func (f *findings) addSite(found []Finding) {
	for _, one := range found {
		if strings.HasPrefix(one.Subject, "connector") {
			one.Subject = "Queue.Deliverer: " + one.Subject
		}
		*f = append(*f, one)
	}
}

// smallest is the smallest memory limit with which a relay can work. A smaller
// number is in another unit.
const smallest = 1 << 20

func (g *Gateway) validateSettings(f *findings) {
	if !isHostName(g.Hostname) {
		f.add(Error, "Hostname", fmt.Sprintf("%q is not a host name", g.Hostname))
	}
	switch {
	case g.Grace < 0:
		f.add(Error, "Grace", fmt.Sprintf("%v is negative", g.Grace))
	case g.Grace > 0 && g.Grace < time.Microsecond:
		f.add(Error, "Grace", fmt.Sprintf("%d nanoseconds: is the unit missing, for example %d*time.Second?", g.Grace, g.Grace))
	}
	if g.MemoryLimit > 0 && g.MemoryLimit < smallest {
		f.add(Error, "MemoryLimit", fmt.Sprintf("%d bytes are less than 1 MiB: is it in another unit?", g.MemoryLimit))
	}
	for i, task := range g.Tasks {
		if task == nil {
			f.add(Error, fmt.Sprintf("Tasks[%d]", i), "is nil")
		}
	}
	for i, part := range g.Parts {
		field := fmt.Sprintf("Parts[%d]", i)
		if isNil(part) {
			f.add(Error, field, "is nil")
			continue
		}
		if v, is := part.(interface{ Validate() error }); is { // for example a console.Console
			f.addError(field, v.Validate())
		}
	}
	for i, c := range g.Closers {
		if isNil(c) {
			f.add(Error, fmt.Sprintf("Closers[%d]", i), "is nil")
		}
	}
}

func (g *Gateway) validateQueue(f *findings) {
	if g.Queue == nil {
		f.add(Error, "Queue", "is not set")
		return
	}
	f.addError("Queue", g.Queue.Validate())
}

// validateServer checks one server and its Gate.
func (g *Gateway) validateServer(f *findings, s namedServer) {
	srv := s.Server
	if srv.Handler == nil {
		f.add(Error, s.Path+".Handler", "is not set: policy.Gate.Install sets it")
	}
	f.addError(s.Path, srv.Validate())
	if noTLS := srv.TLSConfig == nil || srv.TLSMode == smtpserver.TLSOff; srv.Auth != nil && noTLS && !srv.AllowInsecureAuth && !f.has(s.Path+".Auth") {
		f.add(Error, s.Path+".Auth", "no client can use it: AUTH needs TLS, and the server has none. Set TLSConfig or AllowInsecureAuth")
	}
	validateCertificates(f, s, time.Now())
	if gate := policy.GateOf(srv); gate != nil && g.Queue != nil {
		if q, is := gate.Queue.(*queue.Queue); is && q != g.Queue {
			f.add(Error, s.Path, "Gate.Queue is not the Queue of the Gateway: the mail would be accepted, but not delivered")
		}
	}
}

// validateLogs checks whether the logs can be written.
func (g *Gateway) validateLogs(f *findings) {
	if g.Tracking != nil {
		f.addError("Tracking", g.Tracking.Validate())
	}
	seen := make(map[any]bool)
	check := func(path string, log any) {
		v, is := log.(interface{ Validate() error })
		if !is || isNil(log) || seen[log] {
			return
		}
		seen[log] = true
		f.addError(path, v.Validate())
	}
	for _, s := range g.servers() {
		if w, is := s.Server.ProtocolLog.(*smtpserver.ProtocolLogWriter); is {
			if seen[w] = seen[w] || f.has(s.Path+".ProtocolLog"); !seen[w] {
				check(s.Path+".ProtocolLog", w)
			}
		}
	}
	for i, c := range g.Closers {
		if w, is := c.(*smtpserver.ProtocolLogWriter); is { // also those of package smtpclient
			check(fmt.Sprintf("Closers[%d]", i), w)
		}
	}
}

// warn logs the warnings.
func (g *Gateway) warn(f findings) {
	for _, one := range f {
		if one.Severity == Warning {
			g.log(slog.LevelWarn, one.Text, "setting", one.Subject)
		}
	}
}

// isNil reports whether v is nil or contains a nil pointer.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Pointer, reflect.Func, reflect.Map, reflect.Chan:
		return r.IsNil()
	}
	return false
}
