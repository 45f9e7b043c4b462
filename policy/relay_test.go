package policy

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// organization has a domain with two users, a subsidiary with one known
// recipient (carol), and a customer whose mail is forwarded.
func organization() *Gate {
	return &Gate{
		Domains: []Domain{
			{Name: "example.com", Directory: Recipients("alice", "bob")},
			{Name: "subsidiary.example", Kind: InternalRelay, Directory: Recipients("carol")},
			{Name: "customer.example", Kind: ExternalRelay, Directory: Recipients("nobody")},
		},
		Networks:      []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("2001:db8:1::/48")},
		Authenticated: true,
	}
}

func TestUnknownClientMaySendToAcceptedDomains(t *testing.T) {
	srv, _ := install(t, organization(), nil)
	srv.Talk(t, stranger, `
		S: 220
		C: EHLO client.example
		S: 250
		C: MAIL FROM:<someone@example.net>
		S: 250
		# authoritative: those who are known
		C: RCPT TO:<alice@example.com>
		S: 250
		C: RCPT TO:<BOB@Example.COM>
		S: 250
		C: RCPT TO:<mallory@example.com>
		S: 550 5.1.1 User unknown
		# always there
		C: RCPT TO:<postmaster>
		S: 250
		C: RCPT TO:<Postmaster@example.com>
		S: 250
		# internal relay: those who are unknown live elsewhere
		C: RCPT TO:<carol@subsidiary.example>
		S: 250
		C: RCPT TO:<dave@subsidiary.example>
		S: 250
		# external relay: the directory is not asked
		C: RCPT TO:<erin@customer.example>
		S: 250
		# and no other
		C: RCPT TO:<frank@example.net>
		S: 550 5.7.1 Unable to relay
		C: RCPT TO:<alice@sub.example.com>
		S: 550 5.7.1 Unable to relay
	`)
}

func TestClientInNetworksMayRelay(t *testing.T) {
	srv, _ := install(t, organization(), nil)
	for _, from := range []string{neighbour, "::ffff:10.1.2.3", "2001:db8:1::25"} {
		srv.Talk(t, from, `
			S: 220
			C: EHLO printer.example.com
			S: 250
			C: MAIL FROM:<printer@example.com>
			S: 250
			C: RCPT TO:<frank@example.net>
			S: 250
			# but not a user who does not exist
			C: RCPT TO:<mallory@example.com>
			S: 550 5.1.1
		`)
	}
	for _, from := range []string{"10.2.0.1", "2001:db8:2::25", "::a01:203"} {
		srv.Talk(t, from, `
			S: 220
			C: EHLO printer.example.com
			S: 250
			C: MAIL FROM:<printer@example.com>
			S: 250
			C: RCPT TO:<frank@example.net>
			S: 550 5.7.1
		`)
	}
}

func TestAuthenticatedClientMayRelay(t *testing.T) {
	srv, _ := install(t, organization(), &smtpserver.Server{
		Auth: passwords(), AllowInsecureAuth: true, Limits: smtpserver.Limits{Tarpit: -1}})
	srv.Talk(t, stranger, `
		S: 220
		C: EHLO laptop.example
		S: 250
		C: MAIL FROM:<alice@example.com>
		S: 250
		C: RCPT TO:<frank@example.net>
		S: 550 5.7.1
		C: RSET
		S: 250
		# alice, with a wrong password and with the right one
		C: AUTH PLAIN AGFsaWNlAGFsaWNl
		S: 535
		C: MAIL FROM:<alice@example.com>
		S: 250
		C: RCPT TO:<frank@example.net>
		S: 550 5.7.1
		C: RSET
		S: 250
		C: AUTH PLAIN AGFsaWNlAGVjaWxh
		S: 235
		C: MAIL FROM:<alice@example.com>
		S: 250
		C: RCPT TO:<frank@example.net>
		S: 250
	`)
}

func TestZeroGateRefusesAll(t *testing.T) {
	srv, out := install(t, new(Gate), &smtpserver.Server{Auth: passwords(), AllowInsecureAuth: true})
	for _, from := range []string{stranger, neighbour, "127.0.0.1", "::1"} {
		srv.Talk(t, from, `
			S: 220
			C: EHLO client.example
			S: 250
			C: AUTH PLAIN AGFsaWNlAGVjaWxh
			S: 235
			C: MAIL FROM:<alice@example.com>
			S: 250
			C: RCPT TO:<alice@example.com>
			S: 550 5.7.1
			C: RCPT TO:<postmaster>
			S: 550 5.7.1
			C: DATA
			S: 554
		`)
	}
	out.empty(t)
}

// If a directory is down, mail is deferred and never bounced.
func TestDirectoryDown(t *testing.T) {
	down := DirectoryFunc(func(context.Context, string) (bool, error) {
		return false, errors.New("secret cause")
	})
	srv, _ := install(t, &Gate{Domains: []Domain{
		{Name: "example.com", Directory: down},
		{Name: "subsidiary.example", Kind: InternalRelay, Directory: down},
		{Name: "customer.example", Kind: ExternalRelay, Directory: down},
	}}, nil)
	srv.Talk(t, stranger, `
		S: 220
		C: EHLO client.example
		S: 250
		C: MAIL FROM:<>
		S: 250
		C: RCPT TO:<alice@example.com>
		S: 451 4.3.0 The recipient cannot be verified at present, try again later
		C: RCPT TO:<carol@subsidiary.example>
		S: 451 4.3.0
		C: RCPT TO:<erin@customer.example>
		S: 250
		C: RCPT TO:<postmaster@example.com>
		S: 250
	`)
}

// An address that requests relaying from the next host is refused, unless a
// directory lists it as a mailbox.
func TestRoutedLocalParts(t *testing.T) {
	srv, _ := install(t, &Gate{
		Domains: []Domain{
			{Name: "example.com", Directory: Recipients("50%off", "alice")},
			{Name: "open.example"}, // no directory: the next host refuses unknown recipients
			{Name: "customer.example", Kind: ExternalRelay},
		},
		Networks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")},
	}, nil)
	srv.Talk(t, stranger, `
		S: 220
		C: EHLO client.example
		S: 250
		C: MAIL FROM:<>
		S: 250
		C: RCPT TO:<50%off@example.com>
		S: 250
		C: RCPT TO:<bob%example.net@example.com>
		S: 550 5.1.1
		C: RCPT TO:<bob%example.net@open.example>
		S: 550 5.7.1
		C: RCPT TO:<example.net!bob@open.example>
		S: 550 5.7.1
		C: RCPT TO:<"bob@example.net"@customer.example>
		S: 550 5.7.1
		# a source route is dropped (RFC 5321, appendix C)
		C: RCPT TO:<@open.example:bob@example.net>
		S: 550 5.7.1
		C: RCPT TO:<@example.net:bob@open.example>
		S: 250
	`)
	srv.Talk(t, neighbour, `
		S: 220
		C: EHLO printer.example.com
		S: 250
		C: MAIL FROM:<>
		S: 250
		C: RCPT TO:<bob%example.net@open.example>
		S: 250
	`)
}

// Without an accepted domain, <postmaster> without a domain is refused at RCPT,
// and not bounced afterwards.
func TestPostmasterOfNoDomain(t *testing.T) {
	srv, _ := install(t, &Gate{Networks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}}, nil)
	srv.Talk(t, neighbour, mailFrom("printer@example.com", "250")+"\nC: RCPT TO:<postmaster>\nS: 550 5.1.1 No accepted domain has a postmaster")
}

// If a program ignores the error of Validate, the wrong settings do not open
// the relay.
func TestRelayAgentIgnoresInvalidSettings(t *testing.T) {
	r := &Relay{Networks: []netip.Prefix{{}, netip.MustParsePrefix("0.0.0.0/0")}}
	srv := serveAgents(t, r.Agent())
	srv.Talk(t, stranger, `
		S: 220
		C: EHLO client.example
		S: 250
		C: MAIL FROM:<>
		S: 250
		C: RCPT TO:<bob@example.net>
		S: 550 5.7.1
	`)
}

// Behind a front end in the organization's network, a client has the rights of
// its own address, and not those of the front end.
func TestRightsUseTheAddressFromTheFrontEnd(t *testing.T) {
	own := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}
	srv, _ := install(t, &Gate{Networks: own, Domains: []Domain{{Name: "example.com"}}}, &smtpserver.Server{ProxyFrom: []netip.Prefix{netip.MustParsePrefix("10.1.9.9/32")}, XClientFrom: own})
	for claimed, want := range map[string]string{stranger: "550 5.7.1", neighbour: "250"} {
		srv.Talk(t, "10.1.9.9", "R: \"PROXY TCP4 "+claimed+" 10.1.9.1 1025 25\\r\\n\""+tryToRelay+want)
		srv.Talk(t, neighbour, `
			S: 220
			C: EHLO front.example.com
			S: 250
			C: MAIL FROM:<>
			S: 250
			C: RCPT TO:<bob@example.net>
			S: 250
			C: RSET
			S: 250
			C: XCLIENT ADDR=`+claimed+`
			S: 220
			C: EHLO client.example
			S: 250
			C: MAIL FROM:<>
			S: 250
			C: RCPT TO:<bob@example.net>
			S: `+want)
	}
}

// Unnecessary quotes do not change the recipient, also for directories that do
// not support quotes.
func TestNeedlessQuotes(t *testing.T) {
	asked := DirectoryFunc(func(_ context.Context, address string) (bool, error) { return address == "alice@example.com", nil })
	srv, out := install(t, &Gate{
		Domains:    []Domain{{Name: "example.com", Directory: asked}},
		Recipients: &RecipientFilter{Internal: []string{"alice@example.com"}, Addresses: []string{"postmaster"}},
		Networks:   []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")},
	}, nil)
	for to, want := range map[string]string{
		`"alice"@example.com`: "250", `"al\ice"@example.com`: "250", `"postmaster"@example.com`: "250",
		`"alice "@example.com`: "550 5.1.1", `"alice@example.net"@example.com`: "550 5.1.1",
		"po\u017ftmaster@example.com": "550 5.1.1", // case is ignored only for ASCII letters here
	} {
		script := rcptTo("x@example.net", to, want)
		if strings.Contains(to, "\u017f") {
			script = strings.Replace(script, "x@example.net>", "x@example.net> SMTPUTF8", 1)
		}
		srv.Talk(t, neighbour, script)
	}
	for _, to := range []string{`"alice"@example.com`, `"\alice"@example.com`} {
		srv.Talk(t, stranger, rcptTo("x@example.net", to, "550 5.7.1 Only members"))
	}
	srv.Talk(t, stranger, rcptTo("x@example.net", `"POST\master"@example.com`, "550 5.1.1"))
	out.empty(t)
}

// An accepted domain always has the recipient postmaster. For the pattern
// "*.com" this would include domains of others, so the directory must list the
// postmasters.
func TestPostmasterOfPublicSuffix(t *testing.T) {
	srv, _ := install(t, &Gate{Domains: []Domain{
		{Name: "*.com", Directory: Recipients("alice@hosted.com", "postmaster@hosted.com")},
		{Name: "*.example.net", Directory: Recipients("alice")},
	}}, nil)
	for to, want := range map[string]string{
		"alice@hosted.com": "250", "postmaster@hosted.com": "250", "postmaster@stranger.com": "550 5.1.1",
		"postmaster@host.example.net": "250",
	} {
		srv.Talk(t, stranger, rcptTo("x@example.org", to, want))
	}
}

// The rights that a client had before STARTTLS, or with another identity, end.
func TestRightsEnd(t *testing.T) {
	g := organization()
	srv, out := install(t, g, &smtpserver.Server{Auth: passwords(), AllowInsecureAuth: true, TLSConfig: selfSigned(t),
		XClientFrom: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	const world, refused = "C: MAIL FROM:<>\nS: 250\nC: RCPT TO:<frank@example.net>\nS: 250\n", "C: MAIL FROM:<>\nS: 250\nC: RCPT TO:<frank@example.net>\nS: 550 5.7.1\n"
	const alice = "S: 220\nC: EHLO laptop.example\nS: 250\nC: AUTH PLAIN AGFsaWNlAGVjaWxh\nS: 235\n"
	for name, script := range map[string]string{
		"STARTTLS":           alice + world + "C: RSET\nS: 250\nC: STARTTLS\nS: 220\nTLS\nC: EHLO laptop.example\nS: 250\n" + refused,
		"another EHLO":       alice + world + "C: EHLO other.example\nS: 250\n" + world, // a client stays logged in (RFC 4954, 4)
		"XCLIENT":            alice + world + "C: RSET\nS: 250\nC: XCLIENT ADDR=203.0.113.1\nS: 220\nC: EHLO laptop.example\nS: 250\n" + refused,
		"XCLIENT, logged in": "S: 220\nC: XCLIENT LOGIN=alice\nS: 220\nC: EHLO x\nS: 250\n" + world + "C: RSET\nS: 250\nC: XCLIENT ADDR=203.0.113.1\nS: 220\nC: EHLO x\nS: 250\n" + refused,
		"XCLIENT, neighbour": "S: 220\nC: XCLIENT ADDR=10.1.2.3\nS: 220\nC: EHLO x\nS: 250\n" + world + "C: RSET\nS: 250\nC: XCLIENT ADDR=203.0.113.1\nS: 220\nC: EHLO x\nS: 250\n" + refused,
		// Admitted recipients of an aborted transaction are not admitted in the
		// next one.
		"RSET": alice + world + "C: RSET\nS: 250\nC: MAIL FROM:<>\nS: 250\nC: DATA\nS: 503\n",
	} {
		t.Run(name, func(t *testing.T) { srv.Talk(t, stranger, script) })
	}
	out.empty(t)
}
