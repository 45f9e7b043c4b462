package site

import (
	"log/slog"
	"reflect"

	"github.com/bridgehead-mail/bridgehead/internal/resolver"
)

// Defaults are settings that a relay makes once, for all its parts. A field may
// have the zero value: then the parts keep their own defaults.
type Defaults struct {
	// Hostname is the name of the relay.
	Hostname string
	// Logger gets the log lines.
	Logger *slog.Logger
	// Resolver looks up names in the DNS.
	Resolver resolver.Resolver
}

// An Inheritor is a part of a relay that has some of the settings of Defaults.
type Inheritor interface {
	// Inherit sets the settings that are not set. It keeps all others. It is
	// called before the part is used, and may be called more than once.
	Inherit(Defaults)
}

// Fill sets the settings that are not set. hostname and logger may be nil: the
// part does not have such a setting. Fill does not write to a setting that is
// set or has no default, so it may be called again while the part is in use.
func (d Defaults) Fill(hostname *string, logger **slog.Logger) {
	if hostname != nil && *hostname == "" && d.Hostname != "" {
		*hostname = d.Hostname
	}
	if logger != nil && *logger == nil && d.Logger != nil {
		*logger = d.Logger
	}
}

// For returns the settings for a part: the Logger has its level, if it comes from
// Levels.Logger.
func (d Defaults) For(part string) Defaults {
	d.Logger = Part(d.Logger, part)
	return d
}

// FillFor is Fill for a part that has a log level. A logger of the part that comes
// from Levels.Logger gets this level too.
func (d Defaults) FillFor(part string, hostname *string, logger **slog.Logger) {
	d.Fill(hostname, logger)
	if l := Part(*logger, part); l != *logger {
		*logger = l
	}
}

// FillResolver sets the resolver if it is not set. Like Fill, it may be called
// while the part is in use.
func (d Defaults) FillResolver(r *resolver.Resolver) {
	if *r == nil && d.Resolver != nil {
		*r = d.Resolver
	}
}

// Inherit gives the defaults to each part that is an Inheritor. A part may be
// nil.
func (d Defaults) Inherit(parts ...any) {
	for _, part := range parts {
		if i, is := part.(Inheritor); is && !isNil(part) {
			i.Inherit(d)
		}
	}
}

// isNil reports whether an interface contains a nil pointer.
func isNil(v any) bool {
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Pointer && r.IsNil()
}
