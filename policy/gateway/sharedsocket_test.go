package gateway_test

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

func prefixes(list ...string) (all []netip.Prefix) {
	for _, p := range list {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}

// from returns a client's session up to the banner.
func (r *relay) greeted(t *testing.T, from, banner string) {
	t.Helper()
	c, err := r.socket.Dial(from)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if strings.HasPrefix(banner, "421") {
		smtptest.TalkOn(t, c, "S: "+banner+"\nEOF")
		return
	}
	smtptest.TalkOn(t, c, "S: 220 "+banner+"\nC: QUIT\nS: 221\nEOF")
}

// Several Listeners share a socket. The most specific network with the address of the
// client decides, whatever their order is.
func TestConnectorByRemoteNetwork(t *testing.T) {
	for _, reversed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRelay(t)
			listener := func(name string, networks ...string) *gateway.Listener {
				return &gateway.Listener{Server: r.server(t, name), Socket: r.socket, RemoteNetworks: prefixes(networks...)}
			}
			r.Listeners = append(r.Listeners, // the first one has no networks: it is for all others
				listener("internal.example.com", "10.0.0.0/8", "2001:db8::/32", "::ffff:192.168.0.0/112"),
				listener("printers.example.com", "10.1.0.0/16"),
				listener("scanner.example.com", "10.1.2.3/32", "2001:db8:0:1::/64"))
			if reversed {
				for i, j := 0, len(r.Listeners)-1; i < j; i, j = i+1, j-1 {
					r.Listeners[i], r.Listeners[j] = r.Listeners[j], r.Listeners[i]
				}
			}
			if err := r.Validate(); err != nil {
				t.Fatal(err)
			}
			stop := r.run(t)
			synctest.Wait()
			for client, want := range map[string]string{
				"192.0.2.1:1025":              "relay.example.com",
				"[2001:db9::1]:1025":          "relay.example.com",
				"10.9.9.9:1025":               "internal.example.com",
				"192.168.7.7:1025":            "internal.example.com",
				"[::ffff:10.9.9.9]:1025":      "internal.example.com",
				"[2001:db8::1]:1025":          "internal.example.com",
				"10.1.9.9:1025":               "printers.example.com",
				"10.1.2.3:1025":               "scanner.example.com",
				"[2001:db8:0:1::9%eth0]:1025": "scanner.example.com",
			} {
				r.greeted(t, client, want)
			}
			// Replace changes one of them.
			for _, l := range r.Listeners {
				if l.Server.Hostname == "printers.example.com" {
					if err := l.Replace(r.server(t, "new.example.com")); err != nil {
						t.Fatal(err)
					}
				}
			}
			r.greeted(t, "10.1.9.9:1025", "new.example.com")
			r.greeted(t, "10.1.2.3:1025", "scanner.example.com")
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A client that is in no network gets 421 and is logged. The others are served.
func TestNoConnectorForNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelay(t)
		r.Listeners[0].RemoteNetworks = prefixes("10.0.0.0/8")
		stop := r.run(t)
		synctest.Wait()
		r.greeted(t, "192.0.2.1:1025", "421 4.3.2 No service for your address")
		r.greeted(t, "10.0.0.1:1025", "relay.example.com")
		if err := stop(); err != nil {
			t.Error(err)
		}
		if log := r.logged(); !strings.Contains(log, `level=INFO msg="no listener has the client's address"`) || !strings.Contains(log, "client=192.0.2.1:1025") {
			t.Errorf("log:\n%s", log)
		}
	})
}

// A fault of the shared socket ends the relay, as that of any other socket does.
func TestSharedSocketError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelay(t)
		r.Listeners = append(r.Listeners, &gateway.Listener{Server: r.server(t, "b.example.com"), Socket: r.socket, RemoteNetworks: prefixes("10.0.0.0/8")})
		r.run(t)
		synctest.Wait()
		r.socket.Close()
		if err := <-r.ended; err == nil || !strings.Contains(err.Error(), "closed") {
			t.Errorf("error %v", err)
		}
	})
}

// Networks that cannot work are errors at start. Listeners on different sockets may
// have the same networks.
func TestRemoteNetworksValidate(t *testing.T) {
	two := func(a, b []netip.Prefix, addresses ...string) error {
		p := newParts(t, func(p *parts) {
			p.Listeners = nil
			for i, networks := range [][]netip.Prefix{a, b} {
				p.Listeners = append(p.Listeners, &gateway.Listener{Server: new(smtpserver.Server), Address: addresses[i], RemoteNetworks: networks})
			}
		})
		return p.Validate()
	}
	const same, other = "127.0.0.1:2525", "127.0.0.1:2526"
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"different", two(prefixes("10.0.0.0/8"), prefixes("10.0.0.0/16"), same, same), ""},
		{"all others", two(nil, prefixes("10.0.0.0/16"), same, same), ""},
		{"equal", two(prefixes("10.0.0.0/8"), prefixes("192.0.2.0/24", "10.1.2.3/8"), same, same), "Listeners[1].RemoteNetworks: 10.0.0.0/8 is also a network of Listeners[0], on the same socket 127.0.0.1:2525"},
		{"equal as IPv6", two(prefixes("10.0.0.0/8"), prefixes("::ffff:10.0.0.0/104"), same, same), "10.0.0.0/8 is also a network"},
		{"all twice", two(nil, prefixes("::/0"), same, same), "Listeners[1].RemoteNetworks: every address (::/0) is also a network"},
		{"no networks at all", two(nil, nil, same, same), "Listeners[1].Address: 127.0.0.1:2525 is also used by Listeners[0]"},
		{"other sockets", two(prefixes("10.0.0.0/8"), prefixes("10.0.0.0/8"), same, other), ""},
		{"overlapping sockets", two(prefixes("10.0.0.0/8"), prefixes("10.0.0.0/16"), same, ":2525"), "Listeners[1].Address: :2525 is also used by Listeners[0]"},
		{"empty", two(nil, []netip.Prefix{}, same, other), "Listeners[1].RemoteNetworks: is empty"},
		{"invalid", two(nil, []netip.Prefix{{}}, same, other), "Listeners[1].RemoteNetworks: has an invalid network"},
		{"twice in one", two(nil, prefixes("10.0.0.0/8", "10.0.0.1/8"), same, other), "Listeners[1].RemoteNetworks: has 10.0.0.0/8 twice"},
	} {
		if tt.want == "" && tt.err != nil || tt.want != "" && (tt.err == nil || !strings.Contains(tt.err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %s", tt.name, tt.err, tt.want)
		}
	}
}

// The networks are replaced while the relay runs, all or none.
func TestReplaceNetworks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelay(t)
		r.Listeners[0].RemoteNetworks = prefixes("0.0.0.0/0")
		r.Listeners = append(r.Listeners, &gateway.Listener{Server: r.server(t, "printers.example.com"), Socket: r.socket, RemoteNetworks: prefixes("10.1.0.0/16")})
		if err := r.ReplaceNetworks(nil, nil); err == nil || !strings.Contains(err.Error(), "is not open") {
			t.Errorf("before Run: %v", err)
		}
		stop := r.run(t)
		defer stop()
		synctest.Wait()
		r.greeted(t, "10.1.0.1:1025", "printers.example.com")
		r.greeted(t, "10.2.0.1:1025", "relay.example.com")
		for want, networks := range map[string][][]netip.Prefix{
			"1 lists of networks for 2 listeners":                                       {nil},
			"Listeners[1]: 10.0.0.0/8 is also a network of Listeners[0]":                {prefixes("10.0.0.0/8"), prefixes("10.2.3.4/8")},
			"Listeners[1]: every address (0.0.0.0/0) is also a network of Listeners[0]": {nil, nil},
			"Listeners[1] is empty":                                                     {nil, {}},
		} {
			if err := r.ReplaceNetworks(networks...); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		}
		r.greeted(t, "10.1.0.1:1025", "printers.example.com")
		if err := r.ReplaceNetworks(prefixes("10.1.0.0/16"), prefixes("10.2.0.0/16")); err != nil {
			t.Fatal(err)
		}
		r.greeted(t, "10.1.0.1:1025", "relay.example.com")
		r.greeted(t, "10.2.0.1:1025", "printers.example.com")
		r.greeted(t, "192.0.2.1:1025", "421 4.3.2")
	})
	synctest.Test(t, func(t *testing.T) { // a socket of its own
		r := newRelay(t)
		defer r.run(t)()
		synctest.Wait()
		if err := r.ReplaceNetworks(prefixes("10.0.0.0/8")); err == nil || !strings.Contains(err.Error(), "had no networks at the start") {
			t.Errorf("%v", err)
		}
		if err := r.ReplaceNetworks(nil); err != nil {
			t.Error(err)
		}
	})
}
