package routing_test

import (
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/routing"
)

// A name server that can never answer is an error of Router.Check.
func TestInvalidNameServers(t *testing.T) {
	table, err := routing.NewTable(routing.Connector{Name: "internet", Spaces: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		resolver routing.Resolver
		want     string
	}{
		{nil, ""},
		{&routing.NetResolver{}, ""},
		{&routing.DNSResolver{}, ""},
		{&routing.DNSResolver{Servers: []string{"192.0.2.1", "192.0.2.1:5353", "2001:db8::1", "[2001:db8::1]:53", "fe80::1%eth0", "ns.example.net", "ns:domain"}, Timeout: time.Second, Attempts: 1}, ""},
		{&routing.DNSResolver{Servers: []string{"192.0.2.1", "dns server"}}, `Servers[1]: "dns server" is not a host name or an address`},
		{&routing.DNSResolver{Servers: []string{""}}, `Servers[0]: "" is not a host name or an address`},
		{&routing.DNSResolver{Servers: []string{"192.0.2.1:99999"}}, `Servers[0]: "192.0.2.1:99999": "99999" is not a port`},
		{&routing.DNSResolver{Servers: []string{"udp://192.0.2.1"}}, `Servers[0]: "udp://192.0.2.1": "//192.0.2.1" is not a port`},
		{&routing.DNSResolver{Timeout: 5}, "Timeout is 5 nanoseconds: is the unit missing, for example 5*time.Second?"},
		{&routing.DNSResolver{Attempts: -1}, "Attempts is -1: must not be negative"},
		{(*routing.DNSResolver)(nil), "is a nil *routing.DNSResolver"},
	} {
		err := (&routing.Router{Table: table, Resolver: c.resolver}).Check()
		want := c.want
		if want != "" {
			want = "routing: Router.Resolver: " + want
		}
		if (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
