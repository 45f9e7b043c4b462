package policy

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

func TestRelayNetworksThatAreTooWide(t *testing.T) {
	for _, tt := range []struct {
		network string
		wide    bool
	}{
		{"0.0.0.0/0", true},
		{"::/0", true},
		{"128.0.0.0/1", true},
		{"8.0.0.0/7", true},
		{"10.0.0.0/8", false},
		{"::ffff:0.0.0.0/96", true},
		{"::ffff:10.0.0.0/104", false},
		{"2000::/3", true},
		{"2001:db8::/32", false},
		{"127.0.0.1/32", false},
		// The private networks of IPv6 can belong to the organization.
		{"fc00::/7", false},
		{"fd00::/8", false},
		{"fe80::/10", false},
		{"f800::/5", true},
		// Large parts of the IPv6 internet, although their prefixes have as
		// many bits as 10.0.0.0/8.
		{"2001::/16", true},
		{"2400::/16", true},
		{"2003::/19", false}, // the largest network of a provider
		// Networks that contain all IPv4 addresses.
		{"2002::/16", true},
		{"2002:8000::/18", true},
		{"2002:a00::/24", false}, // 10.0.0.0/8
		{"2001::/32", true},
		{"64:ff9b::/96", true},
		{"64:ff9b::/32", true},
		{"64:ff9b::a00:0/104", false},
	} {
		g := &Gate{Networks: []netip.Prefix{netip.MustParsePrefix(tt.network)}, Queue: new(outbox)}
		err := g.Install(new(smtpserver.Server))
		if (err != nil) != tt.wide {
			t.Errorf("%s: error %v, want one: %v", tt.network, err, tt.wide)
		}
		if err != nil && !strings.Contains(err.Error(), tt.network) {
			t.Errorf("%s: the error does not name it: %v", tt.network, err)
		}
		g.DangerouslyRelayForEveryone = true
		if err := g.Install(new(smtpserver.Server)); err != nil {
			t.Errorf("%s with DangerouslyRelayForEveryone: %v", tt.network, err)
		}
	}
	var many []netip.Prefix
	for i := range 17 {
		many = append(many, netip.PrefixFrom(netip.AddrFrom16([16]byte{0x24, byte(i)}), 19))
	}
	if err := (&Relay{Networks: many}).Validate(); err == nil || !strings.Contains(err.Error(), "IPv6 /64 networks in total") {
		t.Errorf("17 networks of the largest providers: %v", err)
	}
	g := &Gate{Networks: make([]netip.Prefix, 1), Queue: new(outbox)}
	if err := g.Install(new(smtpserver.Server)); err == nil {
		t.Error("an invalid prefix is accepted")
	}
}

// A pattern for all domains below a public suffix is an open relay, unless a
// directory lists all of its recipients. A directory that is not asked, or
// whose unknown recipients are forwarded, does not suffice.
func TestDomainsThatAreTooWide(t *testing.T) {
	d := Recipients("alice")
	for _, tt := range []struct {
		domain Domain
		wide   bool
	}{
		{Domain{Name: "*.com"}, true},
		{Domain{Name: "*.com", Directory: d}, false},
		{Domain{Name: "*.com", Kind: InternalRelay, Directory: d}, true},
		{Domain{Name: "*.com", Kind: ExternalRelay, Directory: d}, true},
		{Domain{Name: "*.com", Kind: InternalRelay, Directory: d, CatchAll: "alice@example.com"}, false},
		{Domain{Name: "*.CO.uk.", Kind: ExternalRelay}, true},
		{Domain{Name: "*.公司.cn", Kind: ExternalRelay}, true},
		{Domain{Name: "*.example.com", Kind: ExternalRelay}, false},
		{Domain{Name: "*.github.io", Kind: ExternalRelay}, false}, // the relay of the domain's owner
	} {
		err := (&Relay{Domains: mustDomains(t, tt.domain)}).Validate()
		if (err != nil) != tt.wide {
			t.Errorf("%s, %v, directory %v: error %v, want one: %v", tt.domain.Name, tt.domain.Kind, tt.domain.Directory != nil, err, tt.wide)
		}
		if err != nil && !strings.Contains(err.Error(), tt.domain.Name) {
			t.Errorf("%s: the error does not name it: %v", tt.domain.Name, err)
		}
	}
}

// Host names that anyone can get, by registering a domain or by renting a
// machine.
func TestRelayHostsThatAreTooWide(t *testing.T) {
	for name, wide := range map[string]bool{
		"*.com": true, "*.co.uk": true, "*.公司.cn": true, "*.github.io": true, "*.compute.amazonaws.com": true,
		"*.example.com": false, "mx.com": false,
	} {
		for _, c := range []Clients{{Hosts: []string{name}}, {CertificateNames: []string{name}}} {
			err := (&Relay{Grants: []Grant{{To: c, Rights: Submit | AcceptAnyRecipient}}}).Validate()
			if (err != nil) != wide {
				t.Errorf("%+v: error %v, want one: %v", c, err, wide)
			}
		}
	}
}
