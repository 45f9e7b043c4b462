package smtpclient

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/settings"
)

// A SettingError describes one setting of a Transport that can never work.
type SettingError struct {
	Field   string // for example "Timeouts.Connect"
	Problem string // what is wrong, for example "is -1s: must not be negative"
}

func (e *SettingError) Error() string { return "smtpclient: Transport." + e.Field + " " + e.Problem }

// Validate returns an error that names each setting that can never work or that
// contradicts another. It joins one *SettingError for each of them. Send does not
// call Validate: a program that reads the settings of a Transport from a file
// should call it at the start. routing.NewTable and routing.Router.Check call it
// for the transports of their connectors.
func (t *Transport) Validate() error { return t.ValidateFor(nil) }

// ValidateFor is Validate for mail to one destination: the TLS policy and the Auth
// of dst override those of the Transport, as in Send. A nil dst overrides nothing.
func (t *Transport) ValidateFor(dst *Destination) error {
	if dst == nil {
		dst = new(Destination)
	}
	v := validator{t: t, auth: t.auth(dst) != nil, level: t.level(dst), policy: t.policy(dst)}
	v.names()
	v.protocol()
	v.tls()
	v.authentication(t.auth(dst))
	v.limits()
	return errors.Join(v.errs...)
}

// A validator collects the errors of the settings for one destination.
type validator struct {
	t      *Transport
	auth   bool
	level  TLSLevel
	policy TLSPolicy
	errs   []error
}

func (v *validator) fault(field, format string, args ...any) {
	v.errs = append(v.errs, &SettingError{field, fmt.Sprintf(format, args...)})
}

// check records an error of package settings, which begins with the field.
func (v *validator) check(field string, err error) {
	if err != nil {
		v.fault(field, "%s", strings.TrimPrefix(err.Error(), field+" "))
	}
}

func (v *validator) names() {
	if name := v.t.Hostname; name != "" {
		notASCII := func(r rune) bool { return r >= 0x7f }
		if _, err := addr.Domain(name); err != nil || strings.ContainsFunc(name, notASCII) {
			v.fault("Hostname", "%q is not a host name", name)
		}
	}
	for i, a := range v.t.LocalAddrs {
		if !a.IsValid() {
			v.fault(fmt.Sprintf("LocalAddrs[%d]", i), "is not an address")
		}
	}
	for i, node := range v.t.RequestMail {
		name := strings.TrimPrefix(node, "@")
		if _, err := addr.HostName(name); err != nil && (!strings.HasPrefix(node, "#") || len(node) < 2) || checkCommand([]byte("ETRN "+node+"\r\n")) != nil || strings.ContainsAny(node, " \t") {
			v.fault(fmt.Sprintf("RequestMail[%d]", i), "%q is not a domain, @domain or #queue", node)
		}
	}
	if len(v.t.RequestMail) > 0 && v.t.LMTP {
		v.fault("RequestMail", "contradicts LMTP, which has no ETRN")
	}
	if settings.IsTypedNil(v.t.ProtocolLog) {
		v.fault("ProtocolLog", "is a nil %T", v.t.ProtocolLog)
	}
}

// protocol finds settings that need another protocol.
func (v *validator) protocol() {
	switch {
	case v.t.ForceHELO && v.t.LMTP:
		v.fault("ForceHELO", "contradicts LMTP, which begins with LHLO")
	case v.t.ForceHELO && v.level > TLSOpportunistic && !v.t.ImplicitTLS:
		v.fault("ForceHELO", "contradicts the TLS level %v: without EHLO, a host does not offer STARTTLS", v.level)
	case v.t.ForceHELO && v.auth:
		v.fault("ForceHELO", "contradicts Auth: without EHLO, a host does not offer AUTH")
	}
	if v.t.ImplicitTLS && v.level == TLSNone {
		v.fault("ImplicitTLS", "contradicts the TLS level none")
	}
}

func (v *validator) tls() {
	if v.level > TLSDANE {
		v.fault("TLS.Level", "is %d: there is no such level", v.level)
	}
	if d := v.policy.Domain; d != "" {
		if _, err := addr.HostName(strings.TrimPrefix(d, ".")); err != nil {
			v.fault("TLS.Domain", "%q is neither a domain nor a domain after a dot", d)
		}
	}
	c := v.t.TLSConfig
	if c == nil || c.MaxVersion == 0 {
		return
	}
	switch old := c.MaxVersion < tls.VersionTLS12; {
	case c.MinVersion > c.MaxVersion:
		v.fault("TLSConfig", "has MinVersion %s, but MaxVersion %s", tls.VersionName(c.MinVersion), tls.VersionName(c.MaxVersion))
	case old && c.MinVersion == 0 && v.level > TLSOpportunistic && !v.policy.AllowOld:
		v.fault("TLSConfig", "has MaxVersion %s, but the TLS policy does not allow old TLS (see TLSPolicy.AllowOld)", tls.VersionName(c.MaxVersion))
	case old && v.auth && !v.t.AllowOldTLSAuth && !v.t.AllowInsecureAuth:
		v.fault("TLSConfig", "has MaxVersion %s, but Auth needs TLS 1.2: set AllowOldTLSAuth", tls.VersionName(c.MaxVersion))
	}
}

func (v *validator) authentication(a Authenticator) {
	switch {
	case settings.IsTypedNil(a):
		v.fault("Auth", "is a nil %T", a)
	case a != nil && v.level == TLSNone && !v.t.AllowInsecureAuth:
		v.fault("Auth", "needs TLS, but the TLS level is none: use TLS, or a Transport with AllowInsecureAuth")
	}
	if !settings.IsNil(a) {
		if err := invalidAuth(a); err != nil {
			v.fault("Auth", "%v", err)
		}
	}
}

func (v *validator) limits() {
	t, times := v.t, &v.t.Timeouts
	for _, n := range []struct {
		name  string
		value int64
	}{
		{"MaxAddrs", int64(t.MaxAddrs)}, {"MaxSessions", int64(t.MaxSessions)}, {"AttemptRate", t.AttemptRate},
		{"MaxIdleTotal", int64(t.MaxIdleTotal)}, {"MaxRecipients", int64(t.MaxRecipients)},
	} {
		v.check(n.name, settings.Number(n.name, n.value))
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"IdleTimeout", t.IdleTimeout}, {"MaxAge", t.MaxAge},
		{"Timeouts.Connect", times.Connect}, {"Timeouts.Greeting", times.Greeting}, {"Timeouts.Hello", times.Hello},
		{"Timeouts.Handshake", times.Handshake}, {"Timeouts.Mail", times.Mail}, {"Timeouts.Rcpt", times.Rcpt},
		{"Timeouts.DataInit", times.DataInit}, {"Timeouts.DataBlock", times.DataBlock}, {"Timeouts.DataDone", times.DataDone},
		{"Timeouts.Quit", times.Quit},
	} {
		v.check(d.name, settings.Time(d.name, d.value))
	}
	// Negative values of these have a meaning.
	v.check("HostDownTime", settings.OptionalTime("HostDownTime", t.HostDownTime))
	v.check("AttemptTime", settings.OptionalTime("AttemptTime", t.AttemptTime))
	v.check("MaxWait", settings.OptionalTime("MaxWait", t.MaxWait))
}
