package smtpclient

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// TestInteropAuth authenticates to a Postfix that uses Dovecot SASL.
func TestInteropAuth(t *testing.T) {
	ca := newAuthority(t, "CA")
	socket := startDovecotAuth(t, "wonderland")
	p := startPostfix(t, ca.files(t, "mx.example.net"),
		"smtpd_sasl_auth_enable = yes", "smtpd_sasl_type = dovecot", "smtpd_sasl_path = "+socket, "smtpd_tls_auth_only = yes",
		"smtpd_recipient_restrictions = permit_sasl_authenticated, reject")
	dst := &Destination{Name: "submission", Hosts: HostList(Host{Name: "mx.example.net", Addrs: []netip.AddrPort{p.addr}})}
	for _, tt := range []struct{ mechanism, password, want string }{
		{"PLAIN", "wonderland", "success 250 2.0.0 ..."},
		{"LOGIN", "wonderland", "success 250 2.0.0 ..."},
		{"SCRAM-SHA-256", "wonderland", "success 250 2.0.0 ..."},
		{"SCRAM-SHA-256", "looking glass", "unreachable 535 5.7.8 ..."},
	} {
		t.Run(tt.mechanism+" "+tt.password, func(t *testing.T) {
			tr := &Transport{Hostname: "relay.example", TLSConfig: ca.roots(), Auth: Mechanisms(PasswordAuth("alice", tt.password), tt.mechanism)}
			defer tr.Close()
			m := mail("X-Interop: auth\r\n\r\nx\r\n", "b@example.net")
			m.Options.Auth = ptr("alice@example.com")
			expect(t, tr.Send(t.Context(), dst, m), tt.want)
		})
	}
}

// TestInteropNextMechanism authenticates to a Postfix whose Dovecot offers SCRAM
// but cannot verify it, because it has only a hash of the password.
func TestInteropNextMechanism(t *testing.T) {
	ca := newAuthority(t, "CA")
	hash := sha256.Sum256([]byte("wonderland"))
	socket := startDovecotAuth(t, "{SHA256}"+base64.StdEncoding.EncodeToString(hash[:]))
	p := startPostfix(t, ca.files(t, "mx.example.net"),
		"smtpd_sasl_auth_enable = yes", "smtpd_sasl_type = dovecot", "smtpd_sasl_path = "+socket, "smtpd_tls_auth_only = yes",
		"smtpd_recipient_restrictions = permit_sasl_authenticated, reject")
	dst := &Destination{Name: "submission", Hosts: HostList(Host{Name: "mx.example.net", Addrs: []netip.AddrPort{p.addr}})}
	for _, tt := range []struct {
		auth Authenticator
		want string
	}{
		{PasswordAuth("alice", "wonderland"), "success 250 2.0.0 ..."},
		{PasswordAuth("alice", "looking glass"), "unreachable 535 5.7.8 ..."},
		{Mechanisms(PasswordAuth("alice", "wonderland"), "SCRAM-SHA-256"), "unreachable 535 5.7.8 ..."},
	} {
		tr := &Transport{Hostname: "relay.example", TLSConfig: ca.roots(), Auth: tt.auth}
		expect(t, tr.Send(t.Context(), dst, mail("X-Interop: auth\r\n\r\nx\r\n", "b@example.net")), tt.want)
		tr.Close()
	}
}

// TestInteropLongTokens sends tokens of the usual lengths to a Postfix that uses
// Dovecot SASL.
func TestInteropLongTokens(t *testing.T) {
	ca := newAuthority(t, "CA")
	cert := ca.issue(nil, "mx.example.net")
	p := (&peers.Postfix{Domains: "own.example", Certificate: &cert, Accounts: map[string]string{"alice@own.example": "x"}}).Start(t)
	dst := &Destination{Name: "submission", Hosts: HostList(Host{Name: "mx.example.net", Addrs: []netip.AddrPort{netip.MustParseAddrPort(p.Addr)}})}
	for _, octets := range []int{180, 300, 360, 400, 1000, 2000, 3000, 5500} {
		token := peers.LongToken(t, "alice@own.example", octets)
		if len(token) < octets || len(token) > octets+3 {
			t.Fatalf("token of %d octets, want %d", len(token), octets)
		}
		tr := &Transport{Hostname: "relay.example", TLSConfig: ca.roots(),
			Auth: TokenAuth("alice@own.example", func(context.Context) (string, error) { return token, nil })}
		expect(t, tr.Send(t.Context(), dst, mail("Subject: x\r\n\r\nx\r\n", "b@own.example")), "success 250 2.0.0 ...")
		tr.Close()
	}
}

// startDovecotAuth runs Dovecot's authentication, with one password for all users,
// and returns its socket. It is not the Dovecot of package peers, because that
// one has the passwords in plain text and not as these tests need them.
func startDovecotAuth(t *testing.T, password string) string {
	bin := peers.Need(t, "dovecot")
	peers.NeedRoot(t)
	dir := peers.OpenDir(t)
	socket := dir + "/auth"
	write(t, dir+"/dovecot.conf", strings.NewReplacer("@DIR@", dir, "@PASSWORD@", password).Replace(dovecotAuthConfig))
	start(t, exec.Command(bin, "-F", "-c", dir+"/dovecot.conf"), dir+"/log")
	eventually(t, "Dovecot makes its socket", func() bool {
		_, err := os.Stat(socket)
		return err == nil
	})
	return socket
}

const dovecotAuthConfig = `base_dir = @DIR@/run
state_dir = @DIR@/state
log_path = @DIR@/log
protocols =
ssl = no
auth_mechanisms = plain login scram-sha-256
auth_failure_delay = 0
passdb {
  driver = static
  args = password=@PASSWORD@
}
userdb {
  driver = static
  args = uid=65534 gid=65534 home=@DIR@
}
service anvil {
  unix_listener anvil-auth-penalty { # who has failed before need not wait
    mode = 0
  }
}
service auth {
  unix_listener @DIR@/auth {
    mode = 0666
  }
}
`

// TestInteropParameters sends a real Postfix all parameters that it announces.
func TestInteropParameters(t *testing.T) {
	ca := newAuthority(t, "CA")
	p := startPostfix(t, ca.files(t, "mx.example.net"), "smtputf8_enable = yes")
	tr := &Transport{Hostname: "relay.example", TLSConfig: ca.roots()}
	defer tr.Close()
	dst := &Destination{Name: "postfix", Hosts: HostList(Host{Name: "mx.example.net", Addrs: []netip.AddrPort{p.addr}})}
	m := mail("X-Interop: parameters\r\nSubject: Grüße\r\n\r\nGrüße\r\n", "jörg@example.net", "b@example.net")
	m.From = "bücher@example.com"
	m.Options.MailOptions = smtp.MailOptions{Body: smtp.Body8BitMIME, UTF8: true, Return: smtp.DSNReturnHeaders, EnvelopeID: "id+1=2 3"}
	m.Recipients[0].Options.RcptOptions = smtp.RcptOptions{Notify: []smtp.DSNNotify{smtp.DSNNotifyFailure, smtp.DSNNotifyDelayed}, OriginalRecipientType: smtp.DSNAddressTypeUTF8, OriginalRecipient: "jörg@example.org"}
	m.Recipients[1].Options.RcptOptions = smtp.RcptOptions{Notify: []smtp.DSNNotify{smtp.DSNNotifyNever}, OriginalRecipientType: smtp.DSNAddressTypeRFC822, OriginalRecipient: "b+c@example.org"}
	rs := tr.Send(t.Context(), dst, m)
	expect(t, rs, "success 250 2.0.0 ...\nsuccess 250 2.0.0 ...")
	if !rs[0].DSN {
		t.Error("Postfix announced no DSN")
	}
	if got := p.take(t); !strings.Contains(got, "Grüße") {
		t.Errorf("received %q", got)
	}
}
