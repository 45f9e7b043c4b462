package smtpclient

import (
	"fmt"
	"slices"
	"strings"
)

// TLSLevel says how much TLS a session must have before mail goes over it.
type TLSLevel uint8

const (
	// TLSDefault is TLSOpportunistic where nobody authenticates, and
	// TLSDomain where Auth is set and AllowInsecureAuth is not, so that a
	// password goes to nobody but the host it is meant for.
	TLSDefault TLSLevel = iota
	// TLSNone never says STARTTLS.
	TLSNone
	// TLSOpportunistic uses TLS when the host offers it and accepts any
	// certificate. Where TLS fails, it tries old TLS (see TLSPolicy.AllowOld),
	// and then plain text, each on a new connection (RFC 7435). Where a host
	// closes at STARTTLS, plain text comes only when it does so again at the
	// next attempt.
	TLSOpportunistic
	// TLSEncrypt demands TLS with any certificate (Exchange: encryption only).
	TLSEncrypt
	// TLSCertificate demands a certificate that chains to a trusted root and
	// is in its time, whatever its name (Exchange: certificate validation).
	TLSCertificate
	// TLSDomain demands a trusted certificate for TLSPolicy.Domain, by default
	// the host's name (Exchange: domain validation).
	TLSDomain
	// TLSDANE demands authenticated, usable TLSA records that match; hosts
	// without them are unreachable (Postfix: dane-only).
	TLSDANE
)

var levelNames = [...]string{"default", "none", "opportunistic", "encrypt", "certificate", "domain", "dane"}

// String is the level's name: "opportunistic", "dane", ...
func (l TLSLevel) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return "unknown"
}

// MarshalText implements encoding.TextMarshaler.
func (l TLSLevel) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads a level by its name, for flags and configuration files.
// No text is the default.
func (l *TLSLevel) UnmarshalText(text []byte) error {
	i := slices.Index(levelNames[:], string(text))
	if i < 0 && len(text) > 0 {
		return fmt.Errorf("%q is no level of TLS: there are %s", text, strings.Join(levelNames[:], ", "))
	}
	*l = TLSLevel(max(i, 0))
	return nil
}

// A TLSPolicy is a destination's or connector's rule for TLS. It is
// comparable.
//
// At TLSOpportunistic and TLSEncrypt, what the receiving domain has published
// raises the level: a Host with DANE records must match them (RFC 7672), and
// without such records an MTA-STS policy in enforce mode asks for TLSDomain and
// for a host that it lists (RFC 8461). DANE goes before MTA-STS. The other
// levels are the operator's own word and are neither raised nor lowered.
type TLSPolicy struct {
	Level TLSLevel
	// Domain is the certificate name that TLSDomain asks for: one DNS name,
	// or ".example.com" for any name directly or deeper below example.com.
	// Default: the host's name.
	Domain string
	// IgnorePublished has TLSOpportunistic and TLSEncrypt not raised by what
	// the receiving domain has published, and the session not reported to it.
	// Send sets it for a message with the header field "TLS-Required: No"
	// (RFC 8689, 4); that does not lower the other levels.
	IgnorePublished bool
	// AllowOld accepts old TLS at the levels above TLSOpportunistic, which has
	// it without being told: TLS 1.0 and 1.1, RSA key exchange, 3DES, RC4
	// (RFC 8996, RFC 9325). Credentials need Transport.AllowOldTLSAuth too.
	AllowOld bool
}
