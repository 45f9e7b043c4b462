package gssapi

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// transport returns a Transport that trusts roots.
func transport(t *testing.T, a smtpclient.Authenticator, roots *x509.CertPool) *smtpclient.Transport {
	tr := &smtpclient.Transport{Hostname: "relay.example", Auth: a, TLSConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(func() { tr.Close() })
	return tr
}

// send sends a message to a host, whose name is test.example.
func send(t *testing.T, tr *smtpclient.Transport, addr string) smtpclient.Result {
	t.Helper()
	host := smtpclient.Host{Name: "test.example", Addrs: []netip.AddrPort{netip.MustParseAddrPort(addr)}}
	dst := &smtpclient.Destination{Name: "upstream", Hosts: smtpclient.HostList(host)}
	return tr.Send(t.Context(), dst, &smtpclient.Message{
		From: "a@example.com", Recipients: []smtpclient.Recipient{{Addr: "b@example.net"}}, Content: smtpclient.String("Subject: x\r\n\r\nx\r\n"),
	})[0]
}

// A Postfix whose Dovecot offers GSSAPI, and Debian's KDC.
func TestInterop(t *testing.T) {
	kdc := (&peers.KDC{Realm: "EXAMPLE.NET"}).Start(t)
	kdc.AddUser(t, "alice", "wonderland")
	relay, service := kdc.Keytab(t, "relay/host.example"), kdc.Keytab(t, "smtp/test.example", "-e aes256-cts-hmac-sha384-192:normal smtp/sha384.example")
	config, roots := smtptest.TLSConfig(t)
	socket := peers.DovecotSASL(t, "gssapi", "import_environment = KRB5_CONFIG="+kdc.Config()+"\nauth_gssapi_hostname = \"$ALL\"\nauth_krb5_keytab = "+service+
		"\nauth_username_format = %Lu\nauth_username_chars = abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_@/\n"+
		"passdb {\n  driver = static\n  args = nopassword=y\n}\n")
	p := (&peers.Postfix{
		Domains: "example.net", Certificate: &config.Certificates[0],
		Main: "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = " + socket + "\nsmtpd_sasl_authenticated_header = yes\n" +
			"smtpd_relay_restrictions = permit_sasl_authenticated, reject\nsmtpd_recipient_restrictions = permit_sasl_authenticated, reject\n",
	}).Start(t)
	for _, tt := range []struct {
		name string
		auth *Auth
		want string
	}{
		{"password", &Auth{Principal: "alice", Password: "wonderland"}, "alice@example.net"},
		{"keytab", &Auth{Principal: "relay/host.example@EXAMPLE.NET", KeytabFile: relay, AuthzID: "relay/host.example@EXAMPLE.NET"}, "relay/host.example@example.net"},
		{"SHA-384", &Auth{Principal: "alice", Password: "wonderland", AuthzID: "alice@EXAMPLE.NET", Service: "smtp/sha384.example"}, "alice@example.net"},
	} {
		tt.auth.Config = kdc.Config()
		if r := send(t, transport(t, tt.auth, roots), p.Addr); r.Outcome != smtpclient.Success {
			t.Fatalf("%s: %+v", tt.name, r)
		}
		if m := p.Next(t); !strings.Contains(m, "Authenticated sender: "+tt.want) {
			t.Errorf("%s: received %q", tt.name, m)
		}
	}
	for want, a := range map[string]*Auth{
		"KDC_ERR_PREAUTH_FAILED":      {Principal: "alice", Password: "looking glass"},
		"KDC_ERR_C_PRINCIPAL_UNKNOWN": {Principal: "bob", Password: "wonderland"},
		"KDC_ERR_S_PRINCIPAL_UNKNOWN": {Principal: "alice", Password: "wonderland", Service: "smtp/absent.example"},
		"keytab":                      {Principal: "alice", KeytabFile: service + ".absent"},
	} {
		a.Config = kdc.Config()
		r := send(t, transport(t, a, roots), p.Addr)
		if r.Outcome != smtpclient.Unreachable || !strings.Contains(r.Reply.Message, want) || strings.Contains(r.Reply.Message, "glass") || strings.Contains(r.Reply.Message, "wonder") {
			t.Errorf("%+v, want %q", r, want)
		}
	}
}
