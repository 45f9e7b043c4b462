package smtpserver_test

import (
	"crypto/tls"
	"testing"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// If a server can serve no client, Serve returns an error.
func TestInvalidSettings(t *testing.T) {
	some := func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }
	with := &tls.Config{GetCertificate: some}
	for _, c := range []struct {
		srv  *smtpserver.Server
		want string
	}{
		{&smtpserver.Server{}, ""},
		{&smtpserver.Server{Hostname: "relay.example.com", TLSConfig: with, TLSMode: smtpserver.TLSRequired}, ""},
		{&smtpserver.Server{TLSConfig: new(tls.Config), TLSMode: smtpserver.TLSOff}, ""},
		{&smtpserver.Server{TLSMode: smtpserver.TLSRequired}, "smtpserver: TLSMode is TLSRequired, but TLSConfig is nil"},
		{&smtpserver.Server{TLSMode: smtpserver.TLSImplicit}, "smtpserver: TLSMode is TLSImplicit, but TLSConfig is nil"},
		{&smtpserver.Server{TLSConfig: new(tls.Config)}, "smtpserver: TLSConfig has no certificate: neither Certificates, GetCertificate nor GetConfigForClient is set"},
		{&smtpserver.Server{TLSConfig: with, TLSMode: smtpserver.TLSRequired, Disable: smtpserver.ExtStartTLS}, "smtpserver: TLSRequired is set, but Disable contains ExtStartTLS"},
		{&smtpserver.Server{Hostname: "relay.example.com\r\n250"}, `smtpserver: Hostname "relay.example.com\r\n250" is not a host name`},
		{&smtpserver.Server{DefaultDomain: "example.com"}, ""},
		{&smtpserver.Server{TLSConfig: with, InsecureOldTLS: true}, ""},
		{&smtpserver.Server{InsecureOldTLS: true}, "smtpserver: InsecureOldTLS is set, but TLS is off"},
		{&smtpserver.Server{TLSConfig: with, TLSMode: smtpserver.TLSOff, InsecureOldTLS: true}, "smtpserver: InsecureOldTLS is set, but TLS is off"},
		{&smtpserver.Server{TLSConfig: &tls.Config{GetCertificate: some, MinVersion: tls.VersionTLS12}, InsecureOldTLS: true}, "smtpserver: InsecureOldTLS is set, but TLSConfig.MinVersion is TLS 1.2"},
		{&smtpserver.Server{DefaultDomain: "@example.com"}, `smtpserver: DefaultDomain "@example.com" is not a domain name`},
		{&smtpserver.Server{Limits: smtpserver.Limits{MessageSize: 256 << 20}}, ""},
		{&smtpserver.Server{Limits: smtpserver.Limits{MessageSize: -1}}, ""},
		{&smtpserver.Server{Limits: smtpserver.Limits{MessageSize: 1 << 30}}, "smtpserver: Limits.MessageSize is 1073741824, but a ContentBudget has 268435456 bytes by default"},
		{&smtpserver.Server{Limits: smtpserver.Limits{MessageSize: 2 << 20}, ContentBudget: &smtpserver.ContentBudget{Max: 1 << 20}}, "smtpserver: Limits.MessageSize is 2097152, but ContentBudget.Max is 1048576"},
		{&smtpserver.Server{Limits: smtpserver.Limits{MessageSize: 1 << 30}, ContentBudget: &smtpserver.ContentBudget{Max: -1}}, ""},
		{&smtpserver.Server{TLSMode: 4}, "smtpserver: TLSMode is 4: there is no such mode"},
		{&smtpserver.Server{TLSMode: -1}, "smtpserver: TLSMode is -1: there is no such mode"},
		{&smtpserver.Server{BareBytes: smtpserver.BareNormalize}, ""},
		{&smtpserver.Server{BareBytes: smtpserver.BareNormalize + 1}, "smtpserver: BareBytes is 2: there is no such mode"},
		{&smtpserver.Server{Banner: "ESMTP ready (test)", Name: "from outside"}, ""},
		{&smtpserver.Server{Banner: "ESMTP\r\n250 relay"}, `smtpserver: Banner "ESMTP\r\n250 relay" is not one line of printable ASCII`},
		{&smtpserver.Server{Name: "a\nb"}, `smtpserver: Name "a\nb" contains a control character`},
		{&smtpserver.Server{Agents: []smtpserver.Agent{{MailParams: []string{"XTENANT", "X-2"}, RcptParams: []string{"XNOTE"}}}}, ""},
		{&smtpserver.Server{Agents: []smtpserver.Agent{{}, {Name: "tenants", MailParams: []string{"XTENANT", "xtenant"}}}}, `smtpserver: Agents[1] (tenants): MailParams: "xtenant" is not a keyword in upper case`},
		{&smtpserver.Server{Agents: []smtpserver.Agent{{Name: "notes", RcptParams: []string{"XNOTE="}}}}, `smtpserver: Agents[0] (notes): RcptParams: "XNOTE=" is not a keyword in upper case`},
		{&smtpserver.Server{Agents: []smtpserver.Agent{{RcptParams: []string{""}}}}, `smtpserver: Agents[0] (): RcptParams: "" is not a keyword in upper case`},
		{&smtpserver.Server{Hostname: "the relay"}, `smtpserver: Hostname "the relay" is not a host name`},
	} {
		err := c.srv.Validate()
		if got := textOf(err); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
		if c.want == "" {
			continue
		}
		l := smtptest.NewListener()
		if err := c.srv.Serve(l); textOf(err) != c.want {
			t.Errorf("Serve: %v, want %s", err, c.want)
		}
		if _, err := l.Accept(); err == nil {
			t.Error("Serve has left its listener open")
		}
	}
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
