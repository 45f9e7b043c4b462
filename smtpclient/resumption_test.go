package smtpclient

import (
	"crypto/tls"
	"fmt"
	"testing"
)

// TLS sessions are resumed with the same host under the same policy, and with
// no other, also where Transports share a cache.
func TestResumption(t *testing.T) {
	ca := newAuthority(t, "CA")
	n := newNetwork(t)
	n.tls = server(ca.issue(nil, "mx1.example.net"))
	var resumed []bool
	n.tls.VerifyConnection = func(cs tls.ConnectionState) error {
		resumed = append(resumed, cs.DidResume)
		return nil
	}
	roots := ca.roots()
	roots.ClientSessionCache = tls.NewLRUClientSessionCache(10)
	for i, tt := range []struct {
		addr   string
		policy TLSPolicy
		domain string
		want   bool
	}{
		{"192.0.2.1:25", TLSPolicy{}, "", false},
		{"192.0.2.1:25", TLSPolicy{}, "", true},
		{"192.0.2.1:25", TLSPolicy{}, "example.net", true}, // the host is the same
		{"192.0.2.1:25", TLSPolicy{Level: TLSEncrypt}, "", false},
		{"192.0.2.1:25", TLSPolicy{Level: TLSDomain}, "", false},
		{"192.0.2.1:25", TLSPolicy{Level: TLSDomain}, "", true},
		{"192.0.2.1:25", TLSPolicy{Level: TLSDomain, Domain: ".example.net"}, "", false},
		{"192.0.2.1:25", TLSPolicy{Level: TLSDomain, AllowOld: true}, "", false},
		{"192.0.2.2:25", TLSPolicy{}, "", false},
		{"192.0.2.1:25", TLSPolicy{}, "", true},
	} {
		n.host(tt.addr, offer+upgraded)
		tr := n.transport()
		tr.MaxIdle, tr.TLS, tr.TLSConfig = -1, tt.policy, roots
		dst := to(tt.addr)
		dst.Domain = tt.domain
		expect(t, tr.Send(t.Context(), dst, mail("x\r\n", "b@example.net")), queued)
		n.wg.Wait()
		if len(resumed) != i+1 || resumed[i] != tt.want {
			t.Fatalf("%d: resumed %v, want %v", i, fmt.Sprint(resumed), tt.want)
		}
	}
}

// Without a cache of the operator's, a Transport has its own.
func TestResumptionByDefault(t *testing.T) {
	ca := newAuthority(t, "CA")
	n := newNetwork(t)
	n.tls = server(ca.issue(nil, "mx1.example.net"))
	resumed := 0
	n.tls.VerifyConnection = func(cs tls.ConnectionState) error {
		if cs.DidResume {
			resumed++
		}
		return nil
	}
	n.host("192.0.2.1:25", offer+upgraded, offer+upgraded)
	tr := n.transport()
	tr.MaxIdle = -1
	for range 2 {
		expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net")), queued)
	}
	n.wg.Wait()
	if resumed != 1 {
		t.Errorf("%d sessions were resumed, want 1", resumed)
	}
}
