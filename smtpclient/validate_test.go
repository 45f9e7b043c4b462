package smtpclient

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// Validate names each setting of a Transport that can never work.
func TestValidate(t *testing.T) {
	auth := PasswordAuth("u", "p")
	var (
		noAuth *passwordAuth
		noLog  *ProtocolLogWriter
	)
	const at = "smtpclient: Transport."
	for _, c := range []struct {
		transport *Transport
		want      string
	}{
		{&Transport{Hostname: "my relay"}, at + `Hostname "my relay" is not a host name`},
		{&Transport{Hostname: "relay.example\r\nQUIT"}, at + `Hostname "relay.example\r\nQUIT" is not a host name`},
		{&Transport{Hostname: "münchen.example"}, at + `Hostname "münchen.example" is not a host name`}, // EHLO is ASCII
		{&Transport{LocalAddrs: make([]netip.Addr, 1)}, at + "LocalAddrs[0] is not an address"},
		{&Transport{RequestMail: []string{"example.com", "@b.example", "#queue", "a b"}}, at + `RequestMail[3] "a b" is not a domain, @domain or #queue`},
		{&Transport{RequestMail: []string{"#"}}, at + `RequestMail[0] "#" is not a domain, @domain or #queue`},
		{&Transport{RequestMail: []string{"#a\r\nQUIT"}}, at + `RequestMail[0] "#a\r\nQUIT" is not a domain, @domain or #queue`},
		{&Transport{RequestMail: []string{"a.example"}, LMTP: true}, at + "RequestMail contradicts LMTP, which has no ETRN"},
		{&Transport{ProtocolLog: noLog}, at + "ProtocolLog is a nil *protolog.Writer"},

		{&Transport{ForceHELO: true, LMTP: true}, at + "ForceHELO contradicts LMTP, which begins with LHLO"},
		{&Transport{ForceHELO: true, TLS: TLSPolicy{Level: TLSEncrypt}}, at + "ForceHELO contradicts the TLS level encrypt: without EHLO, a host does not offer STARTTLS"},
		{&Transport{ForceHELO: true, Auth: auth, ImplicitTLS: true}, at + "ForceHELO contradicts Auth: without EHLO, a host does not offer AUTH"},
		{&Transport{ImplicitTLS: true, TLS: TLSPolicy{Level: TLSNone}}, at + "ImplicitTLS contradicts the TLS level none"},
		{&Transport{TLS: TLSPolicy{Level: 99}}, at + "TLS.Level is 99: there is no such level"},
		{&Transport{TLS: TLSPolicy{Level: TLSDomain, Domain: "exam ple.com"}}, at + `TLS.Domain "exam ple.com" is neither a domain nor a domain after a dot`},
		{&Transport{TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13, MaxVersion: tls.VersionTLS12}}, at + "TLSConfig has MinVersion TLS 1.3, but MaxVersion TLS 1.2"},
		{&Transport{TLSConfig: &tls.Config{MaxVersion: tls.VersionTLS11}, TLS: TLSPolicy{Level: TLSEncrypt}}, at + "TLSConfig has MaxVersion TLS 1.1, but the TLS policy does not allow old TLS (see TLSPolicy.AllowOld)"},
		{&Transport{TLSConfig: &tls.Config{MaxVersion: tls.VersionTLS11}, TLS: TLSPolicy{Level: TLSEncrypt, AllowOld: true}, Auth: auth}, at + "TLSConfig has MaxVersion TLS 1.1, but Auth needs TLS 1.2: set AllowOldTLSAuth"},

		{&Transport{Auth: auth, TLS: TLSPolicy{Level: TLSNone}}, at + "Auth needs TLS, but the TLS level is none: use TLS, or a Transport with AllowInsecureAuth"},
		{&Transport{Auth: noAuth}, at + "Auth is a nil *smtpclient.passwordAuth"},
		{&Transport{Auth: Mechanisms(nil, "PLAIN")}, at + "Auth is Mechanisms of a nil Authenticator"},
		{&Transport{Auth: Mechanisms(auth)}, at + "Auth is Mechanisms without the name of a mechanism"},
		{&Transport{Auth: TokenAuth("u", nil)}, at + "Auth is TokenAuth with a nil function"},
		{&Transport{Auth: Mechanisms(TokenAuth("u", nil), "XOAUTH2")}, at + "Auth is TokenAuth with a nil function"},

		{&Transport{MaxAddrs: -1}, at + "MaxAddrs is -1: must not be negative"},
		{&Transport{MaxSessions: -1}, at + "MaxSessions is -1: must not be negative"},
		{&Transport{AttemptRate: -1}, at + "AttemptRate is -1: must not be negative"},
		{&Transport{MaxIdleTotal: -1}, at + "MaxIdleTotal is -1: must not be negative"},
		{&Transport{MaxRecipients: -1}, at + "MaxRecipients is -1: must not be negative"},
		{&Transport{IdleTimeout: 30}, at + "IdleTimeout is 30 nanoseconds: is the unit missing, for example 30*time.Second?"},
		{&Transport{MaxAge: -time.Second}, at + "MaxAge is -1s: must not be negative"},
		{&Transport{Timeouts: Timeouts{Connect: -time.Second}}, at + "Timeouts.Connect is -1s: must not be negative"},
		{&Transport{Timeouts: Timeouts{DataDone: 600}}, at + "Timeouts.DataDone is 600 nanoseconds: is the unit missing, for example 600*time.Second?"},
		{&Transport{AttemptTime: 1800}, at + "AttemptTime is 1800 nanoseconds: is the unit missing, for example 1800*time.Second?"},
		{&Transport{MaxAddrs: -1, MaxSessions: -2}, at + "MaxAddrs is -1: must not be negative\n" + at + "MaxSessions is -2: must not be negative"},

		{&Transport{}, ""},
		{&Transport{Hostname: "relay.example.com", LocalAddrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}, ""},
		{&Transport{Hostname: "[192.0.2.1]"}, ""},
		{&Transport{Hostname: "under_score.example."}, ""},
		{&Transport{ForceHELO: true}, ""},
		{&Transport{ForceHELO: true, ImplicitTLS: true, TLS: TLSPolicy{Level: TLSEncrypt}}, ""},
		{&Transport{LMTP: true, Auth: auth}, ""},
		{&Transport{TLS: TLSPolicy{Level: TLSDomain, Domain: ".example.com"}}, ""},
		{&Transport{TLSConfig: &tls.Config{MaxVersion: tls.VersionTLS11}}, ""}, // opportunistic TLS accepts it
		{&Transport{TLSConfig: &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}, TLS: TLSPolicy{Level: TLSEncrypt}}, ""},
		{&Transport{TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13}, Auth: auth}, ""},
		{&Transport{Auth: auth, AllowInsecureAuth: true, TLS: TLSPolicy{Level: TLSNone}}, ""},
		{&Transport{Auth: Mechanisms(TokenAuth("u", func(context.Context) (string, error) { return "", nil }), "XOAUTH2")}, ""},
		{&Transport{HostDownTime: -1, AttemptTime: -1, MaxConnsPerAddr: -1, MaxWait: -1, MaxIdle: -1, MaxMessages: -1}, ""},
	} {
		err := c.transport.Validate()
		var setting *SettingError
		if got := errorText(err); got != c.want || err != nil && !errors.As(err, &setting) {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

// Destination.TLS and Destination.Auth override the settings of the Transport.
func TestValidateFor(t *testing.T) {
	auth := PasswordAuth("u", "p")
	none, encrypt := &TLSPolicy{Level: TLSNone}, &TLSPolicy{Level: TLSEncrypt}
	const want = "smtpclient: Transport.Auth needs TLS, but the TLS level is none: use TLS, or a Transport with AllowInsecureAuth"
	for _, c := range []struct {
		transport *Transport
		dst       *Destination
		want      string
	}{
		{&Transport{Auth: auth}, &Destination{TLS: none}, want},
		{&Transport{TLS: *none}, &Destination{Auth: auth}, want},
		{&Transport{}, &Destination{Auth: auth, TLS: none}, want},
		{&Transport{Auth: auth, TLS: *none}, &Destination{TLS: encrypt}, ""},
		{&Transport{AllowInsecureAuth: true}, &Destination{Auth: auth, TLS: none}, ""},
		{&Transport{}, &Destination{TLS: none}, ""},
	} {
		if got := errorText(c.transport.ValidateFor(c.dst)); got != c.want {
			t.Errorf("got  %q\nwant %q", got, c.want)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// An Authenticator that can never work does not panic when it is used: no mail is
// sent, and the result says why.
func TestNilAuthenticator(t *testing.T) {
	for name, a := range map[string]Authenticator{
		"Mechanisms is Mechanisms of a nil Authenticator": Mechanisms(nil, "PLAIN"),
		"TokenAuth is TokenAuth with a nil function":      TokenAuth("u", nil),
	} {
		if id := a.Identity(); strings.Contains(name, "Mechanisms") && id != "" {
			t.Errorf("%s: identity %q", name, id)
		}
		client, err := a.Start(t.Context(), "mx.example.net", []string{"PLAIN", "XOAUTH2"}, nil)
		_, want, _ := strings.Cut(name, " ")
		if client != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", name, client, err)
		}
	}
}

// Arguments that are nil are errors, and nothing is sent.
func TestNilArguments(t *testing.T) {
	ctx := t.Context()
	ours, theirs := net.Pipe()
	defer theirs.Close()
	c := NewClient(ours, nil)
	defer c.Close()
	for name, call := range map[string]func() error{
		"Client.Auth":    func() error { return c.Auth(ctx, nil) },
		"Transport.Dial": func() error { _, err := new(Transport).Dial(ctx, nil); return err },
		"Probe":          func() error { _, err := new(Transport).Probe(ctx, nil); return err },
		"Send": func() error {
			return Send(ctx, "mx.example.net:25", Authenticator((*noAuthenticator)(nil)), &Message{Content: String("A: b\r\n\r\n"), Recipients: []Recipient{{Addr: "b@example.net"}}})
		},
	} {
		if err := call(); err == nil || !strings.Contains(err.Error(), "nil") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if r := c.Send(ctx, nil); r != nil {
		t.Errorf("Client.Send: %v", r)
	}
}

type noAuthenticator struct{ Authenticator }
