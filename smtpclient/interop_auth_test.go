package smtpclient

import (
	"context"
	"crypto/tls"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// only is an Authenticator that sees but one of the mechanisms offered.
type only struct {
	Authenticator
	mechanism string
	t         *testing.T
}

func (o only) Start(ctx context.Context, host string, offered []string, state *tls.ConnectionState) (sasl.Client, error) {
	if !slices.Contains(offered, o.mechanism) {
		o.t.Errorf("offered %q, want %s", offered, o.mechanism)
	}
	return o.Authenticator.Start(ctx, host, []string{o.mechanism}, state)
}

// TestInteropAuth authenticates to a Postfix that asks Dovecot.
func TestInteropAuth(t *testing.T) {
	ca := newAuthority(t, "CA")
	socket := startDovecotAuth(t)
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
			tr := &Transport{Hostname: "relay.example", TLSConfig: ca.roots(), Auth: only{PasswordAuth("alice", tt.password), tt.mechanism, t}}
			defer tr.Close()
			m := mail("X-Interop: auth\r\n\r\nx\r\n", "b@example.net")
			m.Options.Auth = ptr("alice@example.com")
			expect(t, tr.Send(t.Context(), dst, m), tt.want)
		})
	}
}

// startDovecotAuth runs Dovecot's authentication, where everybody's password
// is wonderland, and returns its socket.
func startDovecotAuth(t *testing.T) string {
	bin := peers.Need(t, "dovecot")
	needRoot(t)
	dir := openDir(t)
	socket := dir + "/auth"
	write(t, dir+"/dovecot.conf", strings.ReplaceAll(dovecotAuthConfig, "@DIR@", dir))
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
  args = password=wonderland
}
userdb {
  driver = static
  args = uid=65534 gid=65534 home=@DIR@
}
service auth {
  unix_listener @DIR@/auth {
    mode = 0666
  }
}
`

// TestInteropParameters shows a real Postfix all parameters that it announces.
func TestInteropParameters(t *testing.T) {
	ca := newAuthority(t, "CA")
	p := startPostfix(t, ca.files(t, "mx.example.net"), "smtputf8_enable = yes")
	tr := &Transport{Hostname: "relay.example", TLSConfig: ca.roots()}
	defer tr.Close()
	dst := &Destination{Name: "postfix", Hosts: HostList(Host{Name: "mx.example.net", Addrs: []netip.AddrPort{p.addr}})}
	m := mail("X-Interop: parameters\r\nSubject: Grüße\r\n\r\nGrüße\r\n", "jörg@example.net", "b@example.net")
	m.From = "bücher@example.com"
	m.Options = smtp.MailOptions{Body: smtp.Body8BitMIME, UTF8: true, Return: smtp.DSNReturnHeaders, EnvelopeID: "id+1=2 3"}
	m.Recipients[0].Options = smtp.RcptOptions{Notify: []smtp.DSNNotify{smtp.DSNNotifyFailure, smtp.DSNNotifyDelayed}, OriginalRecipientType: smtp.DSNAddressTypeUTF8, OriginalRecipient: "jörg@example.org"}
	m.Recipients[1].Options = smtp.RcptOptions{Notify: []smtp.DSNNotify{smtp.DSNNotifyNever}, OriginalRecipientType: smtp.DSNAddressTypeRFC822, OriginalRecipient: "b+c@example.org"}
	rs := tr.Send(t.Context(), dst, m)
	expect(t, rs, "success 250 2.0.0 ...\nsuccess 250 2.0.0 ...")
	if !rs[0].DSN {
		t.Error("Postfix announced no DSN")
	}
	if got := p.take(t); !strings.Contains(got, "Grüße") {
		t.Errorf("arrived as %q", got)
	}
}
