package routing

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// startPostfix runs a Postfix with STARTTLS on 127.0.0.1. It accepts and
// discards all mail for *.example. It returns the port.
func startPostfix(t *testing.T, cert tls.Certificate) int {
	t.Helper()
	p := (&peers.Postfix{Domains: "signed.example", Certificate: &cert, Main: `myhostname = mx.signed.example
virtual_mailbox_domains =
relay_domains = example
parent_domain_matches_subdomains = relay_domains, fast_flush_domains
transport_maps = static:discard:
`}).Start(t)
	return int(netip.MustParseAddrPort(p.Addr).Port())
}

// Postfix accepts ETRN for the domains that it relays for.
func TestETRNToPostfix(t *testing.T) {
	cert, _ := selfSigned(t, "mx.signed.example")
	port := startPostfix(t, cert)
	f := &Fetcher{Transport: &smtpclient.Transport{Hostname: "branch.example"}, Provider: SmartHost{Host: fmt.Sprintf("[127.0.0.1]:%d", port)}}
	for domain, want := range map[string]string{"branch.example": "", "elsewhere.test": "459"} {
		f.Domains = []string{domain}
		err := f.Fetch(t.Context())
		var reply *smtp.SMTPError
		if want == "" && err != nil || want != "" && (!errors.As(err, &reply) || fmt.Sprint(reply.Code) != want) {
			t.Errorf("%s: %v, want %q", domain, err, want)
		}
	}
}
