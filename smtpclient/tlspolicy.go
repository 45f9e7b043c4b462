package smtpclient

import (
	"fmt"
	"slices"
	"strings"
)

// TLSLevel is the TLS that a session must have before mail is sent in it.
type TLSLevel uint8

const (
	// TLSDefault is TLSOpportunistic without authentication. If Auth is set and
	// AllowInsecureAuth is false, TLSDefault is TLSDomain, so that a password
	// is sent only to the right host.
	TLSDefault TLSLevel = iota
	// TLSNone does not use TLS.
	TLSNone
	// TLSOpportunistic uses TLS if the host offers it, and accepts any
	// certificate. If TLS fails, it tries old TLS (see TLSPolicy.AllowOld), and
	// then plain text, each on a new connection (RFC 7435). If the host closes
	// the connection at STARTTLS, the attempt fails. Plain text is tried only
	// if the host closes the connection again at the next attempt.
	TLSOpportunistic
	// TLSEncrypt requires TLS with any certificate (Exchange: encryption only).
	TLSEncrypt
	// TLSCertificate requires a certificate that chains to a trusted root and
	// has not expired, for any name (Exchange: certificate validation).
	TLSCertificate
	// TLSDomain requires a trusted certificate for TLSPolicy.Domain, by default
	// the host's name (Exchange: domain validation).
	TLSDomain
	// TLSDANE requires authenticated, usable TLSA records that match the
	// certificate. Hosts without them are Unreachable (Postfix: dane-only).
	TLSDANE
)

var levelNames = [...]string{"default", "none", "opportunistic", "encrypt", "certificate", "domain", "dane"}

// String returns the level's name: "default", "none", "opportunistic",
// "encrypt", "certificate", "domain" or "dane".
func (l TLSLevel) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return "unknown"
}

// MarshalText implements encoding.TextMarshaler.
func (l TLSLevel) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler, for flags and configuration
// files. It accepts the names that String returns; an empty text is TLSDefault.
func (l *TLSLevel) UnmarshalText(text []byte) error {
	i := slices.Index(levelNames[:], string(text))
	if i < 0 && len(text) > 0 {
		return fmt.Errorf("unknown TLS level %q: must be one of %s", text, strings.Join(levelNames[:], ", "))
	}
	*l = TLSLevel(max(i, 0))
	return nil
}

// A TLSPolicy is the TLS policy of a destination or a send connector. It is
// comparable.
//
// At the levels TLSOpportunistic and TLSEncrypt, the policies that the receiving
// domain has published raise the level. If a Host has DANE records, its
// certificate must match them (RFC 7672). Otherwise, an MTA-STS policy in
// enforce mode requires TLSDomain and a host that the policy lists (RFC 8461).
// DANE takes precedence over MTA-STS. Published policies do not change the other
// levels.
type TLSPolicy struct {
	// Level is the TLS that is required. Default TLSDefault.
	Level TLSLevel
	// Domain is the certificate name that TLSDomain requires: one DNS name, or
	// ".example.com" for any name below example.com at any depth. The other
	// levels do not verify it. Default: the host's name.
	Domain string
	// IgnorePublished makes TLSOpportunistic and TLSEncrypt ignore the policies
	// that the receiving domain has published. The sessions are then not
	// reported to the domain. Send sets it for a message with the header field
	// "TLS-Required: No" (RFC 8689, 4). It does not change the other levels.
	IgnorePublished bool
	// AllowOld accepts old TLS at the levels above TLSOpportunistic: TLS 1.0
	// and 1.1, RSA key exchange, 3DES, RC4 (RFC 8996, RFC 9325).
	// TLSOpportunistic always accepts it. Credentials are sent over old TLS only
	// with Transport.AllowOldTLSAuth.
	AllowOld bool
}
