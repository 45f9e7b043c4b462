package oauth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// have returns a Source that has a token.
func have(token string) *Source {
	return &Source{token: token, renew: time.Now().Add(time.Hour), expires: time.Now().Add(time.Hour)}
}

// A token is sent only over TLS 1.2 or later, to a host that has proved its name.
func TestTokenNeedsProof(t *testing.T) {
	config, roots := smtptest.TLSConfig(t) // for test.example and 127.0.0.1
	leaf := config.Certificates[0].Leaf
	state := func(version uint16) *tls.ConnectionState {
		return &tls.ConnectionState{Version: version, PeerCertificates: []*x509.Certificate{leaf}}
	}
	for _, tt := range []struct {
		host  string
		state *tls.ConnectionState
		roots *x509.CertPool
		want  string
	}{
		{"test.example", state(tls.VersionTLS12), roots, ""},
		{"TEST.example.", state(tls.VersionTLS13), roots, ""},
		{"test.example", nil, roots, "the session has no TLS"},
		{"test.example", state(tls.VersionTLS11), roots, "before 1.2"},
		{"test.example", state(tls.VersionTLS13), x509.NewCertPool(), "unknown authority"},
		{"other.example", state(tls.VersionTLS13), roots, "not other.example"},
		{"127.0.0.1", state(tls.VersionTLS13), roots, "no name"},
		{"[127.0.0.1]", state(tls.VersionTLS13), roots, "no name"},
		{"[IPv6:::1]", state(tls.VersionTLS13), roots, "no name"},
		{"", state(tls.VersionTLS13), roots, "no name"},
	} {
		a := &Auth{Username: "relay@example.com", Source: have("T0K3N"), Roots: tt.roots}
		client, err := a.Start(t.Context(), tt.host, []string{"LOGIN", "XOAUTH2"}, tt.state)
		if (client == nil) != (tt.want != "") || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%q: %v, want %q", tt.host, err, tt.want)
		}
	}
	if _, err := (&Auth{}).Start(t.Context(), "test.example", nil, state(tls.VersionTLS13)); err == nil {
		t.Error("no Source is no error")
	}
}

// A transport logs in with the token. When the host refuses it, the next session has
// another one. The level of the transport does not matter: TLSOpportunistic would
// accept any certificate.
func TestSessions(t *testing.T) {
	config, roots := smtptest.TLSConfig(t)
	accepted := "T0K3N-2"
	srv := smtptest.NewServer(t, &smtpserver.Server{
		TLSConfig: config,
		Limits:    smtpserver.Limits{Tarpit: -1},
		Auth: smtpserver.BearerAuth(func(_ context.Context, _ *smtpserver.Session, user, token string) (string, error) {
			if user == "relay@example.com" && token == accepted {
				return user, nil
			}
			return "", smtp.ErrAuthFailed
		}),
		Agents: []smtpserver.Agent{{Mail: func(_ context.Context, s *smtpserver.Session, _ string, _ *smtp.MailOptions) error {
			if s.Identity() == "" {
				return errors.New("no login")
			}
			return nil
		}}},
	})
	source := have("T0K3N-1")
	source.fetch = func(context.Context) (grant, error) { return grant{"T0K3N-2", time.Hour}, nil }
	send := func(roots *x509.CertPool) smtpclient.Result {
		tr := &smtpclient.Transport{TLS: smtpclient.TLSPolicy{Level: smtpclient.TLSOpportunistic},
			Auth: smtpclient.Mechanisms(&Auth{Username: "relay@example.com", Source: source, Roots: roots}, "XOAUTH2")}
		defer tr.Close()
		host := smtpclient.Host{Name: "test.example", Addrs: []netip.AddrPort{netip.MustParseAddrPort(srv.Addr)}}
		return tr.Send(t.Context(), &smtpclient.Destination{Hosts: smtpclient.HostList(host)}, &smtpclient.Message{
			From: "a@example.com", Recipients: []smtpclient.Recipient{{Addr: "b@example.net"}}, Content: smtpclient.String("Subject: x\r\n\r\nx\r\n")})[0]
	}
	if r := send(x509.NewCertPool()); r.Outcome != smtpclient.Unreachable || !strings.Contains(r.Reply.Message, "unknown authority") {
		t.Errorf("%+v", r)
	}
	if r := send(roots); r.Outcome != smtpclient.Unreachable || r.Reply.Code != 535 {
		t.Errorf("%+v", r)
	}
	if r := send(roots); r.Outcome != smtpclient.Success {
		t.Errorf("%+v", r)
	}
	srv.Inbox.Next(t)
}
