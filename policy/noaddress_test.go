package policy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// If a proxy gives no address of its client, the client is an unknown client.
// The address of the proxy gives the client no rights and no exemption from
// greylisting, rates and reputation, and is not recorded as the address of the
// client.
func TestProxyWithoutAnAddress(t *testing.T) {
	const header = "PROXY UNKNOWN\r\n"
	proxies := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}
	start := fmt.Sprintf("R: %q\nS: 220\nC: EHLO client.example\nS: 250\n", header)
	domains := []Domain{{Name: "example.com", Directory: Recipients("alice")}}
	mail := "C: MAIL FROM:<x@example.net>\nS: 250\n"

	t.Run("relay", func(t *testing.T) {
		g := &Gate{Domains: domains, Networks: proxies}
		srv, out := install(t, g, &smtpserver.Server{ProxyFrom: proxies})
		srv.Talk(t, neighbour, start+mail+"C: RCPT TO:<x@other.example>\nS: 550 5.7.1\nC: RCPT TO:<alice@example.com>\nS: 250\nC: DATA\nS: 354\nC: Subject: x\nC:\nC: .\nS: 250\nC: QUIT\nS: 221")
		m := out.only(t)
		if m.Origin.ClientAddr != "" {
			t.Errorf("the client's address is %q", m.Origin.ClientAddr)
		}
		if got := text(t, m); !strings.HasPrefix(got, "Received: from client.example\r\n\tby relay.example.com") {
			t.Errorf("the message is\n%s", got)
		}
		// A client with an address gets the rights of that address.
		known := fmt.Sprintf("R: %q\nS: 220\nC: EHLO client.example\nS: 250\n", "PROXY TCP4 "+neighbour+" 192.0.2.25 40000 25\r\n")
		srv.Talk(t, neighbour, known+mail+"C: RCPT TO:<x@other.example>\nS: 250")
	})
	t.Run("greylist", func(t *testing.T) {
		// Retries of some clients do not make the others a known network.
		synctest.Test(t, func(t *testing.T) {
			srv, _ := install(t, &Gate{Domains: domains, Greylist: &Greylist{KnownAfter: 1, Exempt: networks(t, "10.1.0.0/16", "0.0.0.0/0")}}, &smtpserver.Server{ProxyFrom: proxies})
			srv.Talk(t, neighbour, start+mail+"C: RCPT TO:<alice@example.com>\nS: 451 4.7.1 Greylisted")
			sleep(10 * time.Minute)
			srv.Talk(t, neighbour, start+mail+"C: RCPT TO:<alice@example.com>\nS: 250")
			srv.Talk(t, neighbour, start+"C: MAIL FROM:<y@example.net>\nS: 250\nC: RCPT TO:<alice@example.com>\nS: 451 4.7.1 Greylisted")
		})
	})
	t.Run("rates", func(t *testing.T) {
		for _, by := range []RateKey{ByAddress, ByNetwork} {
			rates := &Rates{Rates: []Rate{{By: by, Messages: 1, Exempt: networks(t, "10.1.0.0/16", "0.0.0.0/0")}}}
			srv, _ := install(t, &Gate{Domains: domains, Rates: rates}, &smtpserver.Server{ProxyFrom: proxies})
			once := start + mail + "C: RCPT TO:<alice@example.com>\nS: 250\nC: DATA\nS: 354\nC: Subject: x\nC:\nC: .\nS: 250\n"
			srv.Talk(t, neighbour, once+"C: QUIT\nS: 221")
			srv.Talk(t, neighbour, start+"C: MAIL FROM:<x@example.net>\nS: 450 4.7.1")
		}
	})
	t.Run("reputation", func(t *testing.T) {
		r := &Reputation{Exempt: networks(t, "10.1.0.0/16", "0.0.0.0/0")}
		srv, _ := install(t, &Gate{Domains: domains, Reputation: r}, &smtpserver.Server{ProxyFrom: proxies, Limits: smtpserver.Limits{UnknownRecipients: -1}})
		srv.Talk(t, neighbour, start+mail+strings.Repeat("C: RCPT TO:<nobody@example.com>\nS: 550 5.1.1\n", 25))
		srv.Talk(t, neighbour, start+"C: MAIL FROM:<x@example.net>\nS: 550 5.7.1 Mail from your address is refused temporarily")
	})
	t.Run("all except networks", func(t *testing.T) {
		bad := []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
		g := &Gate{Domains: domains, Grants: []Grant{{To: Clients{Everyone: true, Except: &Clients{Networks: bad}}, Rights: Submit}}}
		srv, _ := install(t, g, &smtpserver.Server{ProxyFrom: proxies})
		srv.Talk(t, neighbour, start+"C: MAIL FROM:<x@example.net>\nS: 550 5.7.1 You may not send mail here")
		known := fmt.Sprintf("R: %q\nS: 220\nC: EHLO client.example\nS: 250\n", "PROXY TCP4 198.51.100.7 192.0.2.25 40000 25\r\n")
		srv.Talk(t, neighbour, known+mail)
	})
	t.Run("connection filter", func(t *testing.T) {
		f := &ConnectionFilter{Allow: networks(t, "10.1.0.0/16", "0.0.0.0/0")}
		srv, _ := install(t, &Gate{Domains: domains, Connection: f, Greylist: &Greylist{}}, &smtpserver.Server{ProxyFrom: proxies})
		srv.Talk(t, neighbour, start+mail+"C: RCPT TO:<alice@example.com>\nS: 451 4.7.1 Greylisted")
	})
}
