package metrics

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"runtime"
	"runtime/debug"
	"time"
)

// module is the path of our module in the build information.
const module = "github.com/bridgehead-mail/bridgehead"

// process adds what concerns the whole process.
func (e *Exporter) process(ctx context.Context, b *builder) {
	var checks []Sample
	all := map[string]bool{} // by check: all listeners are one
	for _, c := range e.Gateway.Health(ctx).Checks {
		ok, seen := all[c.Name]
		all[c.Name] = c.OK && (ok || !seen)
	}
	for _, name := range [...]string{"relay", "queue", "store", "listener"} {
		if ok, seen := all[name]; seen {
			checks = append(checks, value(flag(ok), "check", name))
		}
	}
	process(b, e.Gateway.StartTime(), checks, e.certificates())
}

func process(b *builder, start time.Time, checks, certificates []Sample) {
	b.add("build_info", Gauge, "Version of Bridgehead and of Go. The value is always 1.",
		value(1, "version", version(), "goversion", runtime.Version()))
	var started []Sample
	if !start.IsZero() {
		started = append(started, value(float64(start.UnixNano())/1e9))
	}
	b.add("start_time_seconds", Gauge, "Time at which the relay was started, in seconds since 1970.", started...)
	b.add("healthy", Gauge, "Whether a check of the relay's readiness succeeds: 1, or 0 if it fails.", checks...)
	b.add("tls_certificate_expiry_timestamp_seconds", Gauge,
		"Time at which a certificate of a server expires, in seconds since 1970.", certificates...)
}

// version returns the version of the module that the program was built with.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if info.Main.Path == module {
		return info.Main.Version
	}
	for _, d := range info.Deps {
		if d.Path == module {
			return d.Version
		}
	}
	return "unknown"
}

// certificates returns when the certificates of the servers expire, the earliest one
// for each connector and name. Those that TLSConfig.GetCertificate returns are not known
// here.
func (e *Exporter) certificates() []Sample {
	type key struct{ connector, name string }
	ends := map[key]time.Time{}
	var order []key
	for _, srv := range e.Gateway.CurrentServers() {
		if srv.TLSConfig == nil {
			continue
		}
		for i := range srv.TLSConfig.Certificates {
			leaf := leafOf(&srv.TLSConfig.Certificates[i])
			if leaf == nil {
				continue
			}
			k := key{srv.Name, nameOf(leaf)}
			end, seen := ends[k]
			if !seen {
				order = append(order, k)
			}
			if !seen || leaf.NotAfter.Before(end) {
				ends[k] = leaf.NotAfter
			}
		}
	}
	var all []Sample
	for _, k := range order {
		all = append(all, value(ends[k].Unix(), "connector", k.connector, "name", k.name))
	}
	return all
}

func leafOf(c *tls.Certificate) *x509.Certificate {
	if c.Leaf != nil || len(c.Certificate) == 0 {
		return c.Leaf
	}
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		return nil
	}
	return leaf
}

// nameOf returns the first name of a certificate.
func nameOf(leaf *x509.Certificate) string {
	if len(leaf.DNSNames) > 0 {
		return leaf.DNSNames[0]
	}
	return leaf.Subject.CommonName
}
