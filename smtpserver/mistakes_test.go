package smtpserver_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// Mistakes in the settings of a Server. Validate and Serve return an error that
// names the field.
func TestWrongSettings(t *testing.T) {
	config, _ := smtptest.TLSConfig(t)
	good := config.Certificates[0]
	otherKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	certificates := func(cs ...tls.Certificate) *smtpserver.Server {
		return &smtpserver.Server{TLSConfig: &tls.Config{Certificates: cs}}
	}
	limits := func(l smtpserver.Limits) *smtpserver.Server { return &smtpserver.Server{Limits: l} }
	var noPointer *smtpserver.Scram
	var noLog *smtpserver.ProtocolLogWriter
	for _, c := range []struct {
		srv  *smtpserver.Server
		want string
	}{
		// The certificate.
		{certificates(tls.Certificate{}), "smtpserver: TLSConfig.Certificates[0] is empty: it has no certificate"},
		{certificates(good, tls.Certificate{}), "smtpserver: TLSConfig.Certificates[1] is empty: it has no certificate"},
		{certificates(tls.Certificate{Certificate: good.Certificate}), "smtpserver: TLSConfig.Certificates[0] has no private key"},
		{certificates(tls.Certificate{Certificate: good.Certificate, PrivateKey: otherKey}), "smtpserver: TLSConfig.Certificates[0]: the private key does not belong to the certificate"},
		{certificates(tls.Certificate{Certificate: [][]byte{{1, 2}}, PrivateKey: otherKey}), "smtpserver: TLSConfig.Certificates[0]: x509: malformed certificate"},
		{certificates(good), ""},
		{&smtpserver.Server{TLSMode: smtpserver.TLSOff, TLSConfig: &tls.Config{Certificates: []tls.Certificate{{}}}}, ""},
		{&smtpserver.Server{TLSConfig: &tls.Config{Certificates: config.Certificates, MinVersion: tls.VersionTLS13, MaxVersion: tls.VersionTLS12}}, "smtpserver: TLSConfig.MinVersion is TLS 1.3, but MaxVersion is TLS 1.2"},

		// AUTH that no client can use.
		{&smtpserver.Server{Auth: wonderland()}, "smtpserver: Auth is set, but no client can log in: TLS is off, and AllowInsecureAuth is not set"},
		{&smtpserver.Server{Auth: wonderland(), TLSConfig: config, TLSMode: smtpserver.TLSOff}, "smtpserver: Auth is set, but no client can log in: TLS is off, and AllowInsecureAuth is not set"},
		{&smtpserver.Server{Auth: wonderland(), TLSConfig: config, Disable: smtpserver.ExtStartTLS}, "smtpserver: Auth is set, but no client can log in: Disable contains ExtStartTLS, and AllowInsecureAuth is not set"},
		{&smtpserver.Server{Auth: wonderland(), TLSConfig: &tls.Config{Certificates: config.Certificates, MaxVersion: tls.VersionTLS11}}, "smtpserver: Auth is set, but no client can log in: TLSConfig.MaxVersion is TLS 1.1, and InsecureOldTLSAuth is not set"},
		{&smtpserver.Server{Auth: wonderland(), AllowInsecureAuth: true}, ""},
		{&smtpserver.Server{Auth: wonderland(), TLSConfig: config}, ""},
		{&smtpserver.Server{Auth: wonderland(), TLSConfig: config, TLSMode: smtpserver.TLSImplicit, Disable: smtpserver.ExtStartTLS}, ""},

		// Functions and pointers that are nil.
		{authenticates(smtpserver.PasswordAuth(nil)), "smtpserver: Auth: PasswordAuth: check is nil"},
		{authenticates(smtpserver.BearerAuth(nil)), "smtpserver: Auth: BearerAuth: verify is nil"},
		{authenticates(smtpserver.CramMD5Auth(nil)), "smtpserver: Auth: CramMD5Auth: password is nil"},
		{authenticates(smtpserver.ExternalAuth(nil)), "smtpserver: Auth: ExternalAuth: verify is nil"},
		{authenticates(smtpserver.ScramAuth(nil)), "smtpserver: Auth: Scram.Lookup is not set"},
		{authenticates(noPointer), "smtpserver: Auth is a nil *smtpserver.Scram"},
		{authenticates(smtpserver.Auths()), "smtpserver: Auth: Auths: there is no Authenticator"},
		{authenticates(smtpserver.Auths(wonderland(), nil)), "smtpserver: Auth: Auths: Authenticator 1 is nil"},
		{authenticates(smtpserver.Auths(wonderland(), smtpserver.PasswordAuth(nil))), "smtpserver: Auth: PasswordAuth: check is nil"},
		{&smtpserver.Server{Handler: smtpserver.HandlerFunc(nil)}, "smtpserver: Handler is a nil smtpserver.HandlerFunc"},
		{&smtpserver.Server{ProtocolLog: noLog}, "smtpserver: ProtocolLog is a nil *protolog.Writer"},
		{adapted(), "smtpserver: Handler: AdaptGoSMTP: newSession is nil\nsmtpserver: Auth: AdaptGoSMTP: newSession is nil"},

		// Limits with which no mail can be received.
		{limits(smtpserver.Limits{CommandLine: 3}), "smtpserver: Limits.CommandLine is 3: must be from 512 to 65536"},
		{limits(smtpserver.Limits{CommandLine: 1 << 20}), "smtpserver: Limits.CommandLine is 1048576: must be from 512 to 65536"},
		{limits(smtpserver.Limits{AuthLine: 100}), "smtpserver: Limits.AuthLine is 100: must be from 512 to 65536"},
		{limits(smtpserver.Limits{TextLine: 78}), "smtpserver: Limits.TextLine is 78: must be at least 1000"},
		{limits(smtpserver.Limits{CommandTimeout: 300}), "smtpserver: Limits.CommandTimeout is 300 nanoseconds: is the unit missing, for example 300*time.Second?"},
		{limits(smtpserver.Limits{DataTimeout: -time.Minute}), "smtpserver: Limits.DataTimeout is -1m0s: only -1 means no limit, other negative numbers are not allowed"},
		{limits(smtpserver.Limits{Recipients: -100}), "smtpserver: Limits.Recipients is -100: only -1 means no limit, other negative numbers are not allowed"},
		{limits(smtpserver.Limits{MessageSize: math.MinInt64}), "smtpserver: Limits.MessageSize is -9223372036854775808: only -1 means no limit, other negative numbers are not allowed"},
		{limits(smtpserver.Limits{CommandLine: 3, Connections: -2}), "smtpserver: Limits.CommandLine is 3: must be from 512 to 65536\nsmtpserver: Limits.Connections is -2: only -1 means no limit, other negative numbers are not allowed"},
		{&smtpserver.Server{BannerDelay: 5}, "smtpserver: BannerDelay is 5 nanoseconds: is the unit missing, for example 5*time.Second?"},
		{&smtpserver.Server{MaxHold: -time.Hour}, "smtpserver: MaxHold is -1h0m0s: must not be negative"},
		{&smtpserver.Server{LoginLimit: &smtpserver.LoginLimit{Period: 60}}, "smtpserver: LoginLimit.Period is 60 nanoseconds: is the unit missing, for example 60*time.Second?"},
		{limits(everyLimit(-1)), ""}, // no limit
		{limits(smtpserver.Limits{CommandLine: 512, AuthLine: 512, TextLine: 1000, Recipients: 1, Connections: 1, MessageSize: 1}), ""},

		// Networks and names.
		{&smtpserver.Server{ProxyFrom: []netip.Prefix{netip.MustParsePrefix("10.1.2.3/8")}}, "smtpserver: ProxyFrom: network 10.1.2.3/8 has bits set beyond the prefix length; did you mean 10.0.0.0/8?"},
		{&smtpserver.Server{BareLFFrom: []netip.Prefix{{}}}, "smtpserver: BareLFFrom: network invalid Prefix is not a valid prefix"},
		{&smtpserver.Server{Hostname: "my relay", DefaultDomain: "ex ample"}, "smtpserver: Hostname \"my relay\" is not a host name\nsmtpserver: DefaultDomain \"ex ample\" is not a domain name"},
		{&smtpserver.Server{Hostname: "relay_1.example.com"}, ""},
		{&smtpserver.Server{Hostname: "[192.0.2.1]"}, ""},
	} {
		if got := textOf(c.srv.Validate()); !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("got %q, want %q", got, c.want)
		}
		if c.want == "" {
			continue
		}
		if err := c.srv.Serve(smtptest.NewListener()); !strings.HasPrefix(textOf(err), c.want) {
			t.Errorf("Serve: %v, want %s", err, c.want)
		}
	}
}

func authenticates(a smtpserver.Authenticator) *smtpserver.Server {
	return &smtpserver.Server{Auth: a, AllowInsecureAuth: true}
}

func adapted() *smtpserver.Server {
	agent, handler, auth := smtpserver.AdaptGoSMTP(nil)
	return &smtpserver.Server{Agents: []smtpserver.Agent{agent}, Handler: handler, Auth: auth, AllowInsecureAuth: true}
}

// everyLimit returns limits that are all n.
func everyLimit(n int) smtpserver.Limits {
	d := time.Duration(n)
	return smtpserver.Limits{MessageSize: int64(n), HeaderSize: int64(n), MemoryContent: int64(n), TotalMemory: int64(n),
		CommandLine: n, AuthLine: n, TextLine: n, Recipients: n, Hops: n, Connections: n, ConnectionsPerAddr: n, ConnectionsPerNetwork: n,
		ConnectionRate: n, MessageRate: n, RecipientRate: n, SessionMessages: n, SessionBytes: int64(n), ProtocolErrors: n,
		UnknownRecipients: n, AuthFailures: n, Tarpit: d, CommandTimeout: d, DataTimeout: d, DataRate: n, HandshakeTimeout: d,
		SessionTimeout: d, OverloadPercent: n}
}

// Logs that get nil write nothing and do not panic.
func TestLogsOfNil(t *testing.T) {
	log := smtpserver.NewProtocolLog(nil)
	log.Log(smtpserver.ProtocolEvent{})
	if err := log.Flush(); err == nil {
		t.Error("Flush: nil, although there is no io.Writer")
	}
	log.Close()
	smtpserver.SlogProtocolLog(nil, 0).Log(smtpserver.ProtocolEvent{})
}

// An Authenticator that never works refuses its clients, also if the server that
// uses it was not validated.
func TestInvalidAuthenticatorRefuses(t *testing.T) {
	a := smtpserver.PasswordAuth(nil)
	if m := a.Mechanisms(nil); len(m) > 0 {
		t.Errorf("it offers %v", m)
	}
	if _, err := a.Start(context.Background(), nil, "PLAIN"); textOf(err) != "PasswordAuth: check is nil" {
		t.Errorf("Start: %v", err)
	}
}

// A Handler may embed its Server. Its method Validate is then that of the Server.
func TestHandlerEmbedsServer(t *testing.T) {
	relay := &embedding{Server: new(smtpserver.Server)}
	relay.Handler = relay
	if err := relay.Server.Validate(); err != nil {
		t.Error(err)
	}
}

type embedding struct{ *smtpserver.Server }

func (embedding) Receive(context.Context, *smtpserver.Session, *smtpserver.Message) (string, error) {
	return "", nil
}
