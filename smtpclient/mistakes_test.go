package smtpclient

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/bridgehead-mail/bridgehead/smtpclient/dane"
)

// Mistakes in the arguments of Send have a clear result, and none panics.
func TestSendWithWrongArguments(t *testing.T) {
	var (
		noReader *strings.Reader
		tr       = &Transport{Hostname: "relay.example"}
		dst      = to("192.0.2.1:25")
	)
	for _, tt := range []struct {
		name   string
		dst    *Destination
		change func(*Message)
		want   string
	}{
		{"no Destination", nil, func(*Message) {}, "unreachable 451 4.3.5 Destination.Hosts is not set"},
		{"no Hosts", &Destination{}, func(*Message) {}, "unreachable 451 4.3.5 Destination.Hosts is not set"},
		{"no address", &Destination{Hosts: HostList()}, func(*Message) {}, "unreachable 451 4.4.4 no host of the destination has an address"},
		{"nil Content", dst, func(m *Message) { m.Content = nil }, "failure 554 5.6.0 message has no content"},
		{"typed nil Content", dst, func(m *Message) { m.Content = noReader }, "failure 554 5.6.0 message has no content"},
		{"empty recipient", dst, func(m *Message) { m.Recipients[0].Addr = "" }, "failure 553 5.1.3 forward-path is empty"},
	} {
		m := mail("x\r\n", "b@example.net")
		tt.change(m)
		expect(t, tr.Send(t.Context(), tt.dst, m), tt.want)
	}
	if r := tr.Send(t.Context(), dst, nil); len(r) != 0 {
		t.Errorf("nil: %v", r)
	}
	if r := tr.Send(t.Context(), dst, mail("x\r\n")); len(r) != 0 {
		t.Errorf("no recipients: %v", r)
	}
}

// A strings.Reader can be written only once, but Send can send it again.
func TestReaderAsContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:25", ehlo+one+one+quit)
		tr := n.transport()
		m := mail("", "b@example.net")
		m.Content = strings.NewReader("x\r\n")
		for range 2 {
			expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), m), queued)
		}
	})
}

// Destinations without a name whose hosts differ only in their DANE records or
// in their policy domain are different destinations.
func TestUnnamedDestinationKey(t *testing.T) {
	host := Host{Name: "mx1.example.net", Addrs: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:25")}}
	withDANE, withDomain := host, host
	withDANE.DANE = &dane.Answer{Records: []dane.Record{{Usage: dane.EE, Data: []byte{1}}}, Names: []string{"mx1.example.net"}}
	withDomain.Domain = "example.net"
	seen := map[string]bool{}
	for _, h := range []Host{host, withDANE, withDomain} {
		d, err := (&Destination{Hosts: HostList(h)}).withHosts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if seen[d.hosts] {
			t.Errorf("the key %s is that of another destination", d.hosts)
		}
		seen[d.hosts] = true
	}
}
