package policy

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestReadNetworks(t *testing.T) {
	n, err := ReadNetworks(strings.NewReader(`
		# our own
		10.1.0.0/16
		192.0.2.7-192.0.2.9   ; three printers
		2001:db8::/32
		198.51.100.1
		::ffff:203.0.113.0/120`))
	if err != nil {
		t.Fatal(err)
	}
	for ip, want := range map[string]bool{
		"10.1.255.255": true, "10.2.0.0": false,
		"192.0.2.6": false, "192.0.2.7": true, "192.0.2.8": true, "192.0.2.9": true, "192.0.2.10": false,
		"2001:db8:ffff::1": true, "2001:db9::": false, "::ffff:10.1.0.1": true, "::a01:1": false,
		"198.51.100.1": true, "198.51.100.2": false, "203.0.113.9": true,
	} {
		if n.Contains(netip.MustParseAddr(ip)) != want {
			t.Errorf("Contains(%s) = %v", ip, !want)
		}
	}
	if n.Contains(netip.Addr{}) {
		t.Error("contains no address")
	}
	if !n.Contains(netip.MustParseAddr("2001:db8::1%eth0")) {
		t.Error("a zone changes the result")
	}
	for _, none := range []*Networks{nil, new(Networks)} {
		if none.Contains(netip.MustParseAddr("10.1.0.1")) || none.Len() != 0 {
			t.Error("an empty set contains something")
		}
	}
	if n.Len() != 6 {
		t.Errorf("%d networks, want 6", n.Len())
	}
	n.Replace(networks(t, "172.16.0.0/12"))
	if n.Contains(netip.MustParseAddr("10.1.0.1")) || !n.Contains(netip.MustParseAddr("172.16.0.1")) || n.Len() != 1 {
		t.Error("not replaced")
	}
	n.Replace(nil)
	if n.Len() != 0 {
		t.Error("Replace with an empty set has no effect")
	}
}

func TestParseNetwork(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1":                       "[192.0.2.1/32]",
		"::1":                             "[::1/128]",
		"192.0.2.0-192.0.2.255":           "[192.0.2.0/24]",
		"192.0.2.1 - 192.0.2.6":           "[192.0.2.1/32 192.0.2.2/31 192.0.2.4/31 192.0.2.6/32]",
		"0.0.0.0-255.255.255.255":         "[0.0.0.0/0]",
		"255.255.255.254-255.255.255.255": "[255.255.255.254/31]",
		"::-::1":                          "[::/127]",

		"192.0.2.1/24":        `policy: network "192.0.2.1/24": has bits beyond its length; the network is 192.0.2.0/24`,
		"192.0.2.0/33":        `policy: network "192.0.2.0/33": not a prefix`,
		"192.0.2.9-192.0.2.1": `policy: network "192.0.2.9-192.0.2.1": not a range of addresses`,
		"192.0.2.9-::1":       `policy: network "192.0.2.9-::1": not a range of addresses`,
		"example.com":         `policy: network "example.com": neither an address, nor a prefix, nor a range`,
		"fe80::1%eth0":        `policy: network "fe80::1%eth0": neither an address, nor a prefix, nor a range`,
		"":                    `policy: network "": neither an address, nor a prefix, nor a range`,
	} {
		ps, err := ParseNetwork(in)
		got := fmt.Sprint(ps)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("ParseNetwork(%q) = %s, want %s", in, got, want)
		}
	}
	if _, err := ReadNetworks(strings.NewReader("10.0.0.0/8\n\nbad")); err == nil || !strings.Contains(err.Error(), `line 3: policy: network "bad"`) {
		t.Errorf("error %v does not name the line", err)
	}
}

func TestParseNetworks(t *testing.T) {
	for in, want := range map[string]string{
		"10.1.0.0/16, 192.0.2.7,,\n::1": "[10.1.0.0/16 192.0.2.7/32 ::1/128] <nil>",
		"":                              "[] <nil>",
		"10.1.0.0/16,here":              `[] policy: network "here": neither an address, nor a prefix, nor a range`,
	} {
		if ps, err := ParseNetworks(in); fmt.Sprint(ps, " ", err) != want {
			t.Errorf("ParseNetworks(%q) = %v %v, want %s", in, ps, err, want)
		}
	}
}

// FuzzParseNetwork: the networks of a range cover its ends, in order and
// without overlap.
func FuzzParseNetwork(f *testing.F) {
	for _, s := range []string{"10.0.0.0/8", "192.0.2.1", "192.0.2.1-192.0.2.6", "::-::ffff", "0.0.0.0-255.255.255.255", "a-b", "-", "/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ps, err := ParseNetwork(s)
		if err != nil {
			return
		}
		if len(ps) == 0 || len(ps) > 256 {
			t.Fatalf("%q: %d networks", s, len(ps))
		}
		for i, p := range ps {
			if !p.IsValid() || p != p.Masked() {
				t.Errorf("%q: %v", s, p)
			}
			if i > 0 && lastOf(ps[i-1]).Next() != p.Addr() {
				t.Errorf("%q: a gap before %v", s, p)
			}
		}
	})
}

// BenchmarkNetworks looks up addresses in sets of a million random prefixes:
// addresses that are in the set, and random ones. The prefixes are /16 to /32
// of IPv4, and /32 to /64 of IPv6.
func BenchmarkNetworks(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	random4 := func() netip.Addr {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], r.Uint32())
		return netip.AddrFrom4(a)
	}
	random6 := func() netip.Addr {
		a := [16]byte{0x20, 0x01}
		binary.BigEndian.PutUint64(a[2:], r.Uint64())
		binary.BigEndian.PutUint64(a[8:], r.Uint64())
		return netip.AddrFrom16(a)
	}
	for name, address := range map[string]func() netip.Addr{"IPv4": random4, "IPv6": random6} {
		longest := 32
		if name == "IPv6" {
			longest = 64
		}
		set := new(networkSet)
		var asked []netip.Addr
		for i := range 1_000_000 {
			a := address()
			p := netip.PrefixFrom(a, longest/2+r.IntN(longest/2+1))
			set.insert(p)
			if i%100 == 0 {
				asked = append(asked, a, address())
			}
		}
		asked = slices.Clip(asked)
		n := set.networks()
		b.Run(name, func(b *testing.B) {
			hits := 0
			for i := 0; b.Loop(); i++ {
				if n.Contains(asked[i%len(asked)]) {
					hits++
				}
			}
			b.ReportMetric(float64(hits)/float64(b.N), "hits/op")
		})
	}
}
