package smtpclient

import (
	"crypto/tls"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TLS sessions are resumed only with the same host, the same policy and the same
// client certificate, even if Transports share a cache.
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
	withCertificate := roots.Clone()
	withCertificate.Certificates = []tls.Certificate{ca.issue(nil, "relay.example")}
	for i, tt := range []struct {
		addr   string
		policy TLSPolicy
		domain string
		want   bool
		config *tls.Config // default roots
	}{
		{addr: "192.0.2.1:25"},
		{addr: "192.0.2.1:25", want: true},
		{addr: "192.0.2.1:25", domain: "example.net", want: true}, // the host is the same
		{addr: "192.0.2.1:25", policy: TLSPolicy{Level: TLSEncrypt}},
		{addr: "192.0.2.1:25", policy: TLSPolicy{Level: TLSDomain}},
		{addr: "192.0.2.1:25", policy: TLSPolicy{Level: TLSDomain}, want: true},
		{addr: "192.0.2.1:25", policy: TLSPolicy{Level: TLSDomain, Domain: ".example.net"}},
		{addr: "192.0.2.1:25", policy: TLSPolicy{Level: TLSDomain, AllowOld: true}},
		{addr: "192.0.2.2:25"},
		{addr: "192.0.2.1:25", want: true},
		{addr: "192.0.2.1:25", config: withCertificate},
		{addr: "192.0.2.1:25", config: withCertificate, want: true},
	} {
		n.host(tt.addr, offer+upgraded)
		tr := n.transport()
		tr.MaxIdle, tr.TLS, tr.TLSConfig = -1, tt.policy, or(tt.config, roots)
		dst := to(tt.addr)
		dst.Domain = tt.domain
		expect(t, tr.Send(t.Context(), dst, mail("x\r\n", "b@example.net")), queued)
		n.wg.Wait()
		if len(resumed) != i+1 || resumed[i] != tt.want {
			t.Fatalf("%d: resumed %v, want %v", i, fmt.Sprint(resumed), tt.want)
		}
	}
}

// If the operator sets no cache, a Transport has its own.
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

// The default cache grows with the hosts, up to its limit, and forgets sessions
// that are not used.
func TestSessionCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sessionCache{most: 3}
		state := new(tls.ClientSessionState)
		has := func() (got string) {
			for e := c.oldest.Front(); e != nil; e = e.Next() {
				got += e.Value.(*tlsSession).key
			}
			if len(got) != len(c.byKey) {
				t.Errorf("%q, but %d keys", got, len(c.byKey))
			}
			return got
		}
		step := func(what, want string) {
			t.Helper()
			if got := has(); got != want {
				t.Errorf("%s: %q, want %q", what, got, want)
			}
		}
		c.Put("a", state)
		c.Put("b", state)
		c.Put("c", state)
		step("full", "abc")
		if s, ok := c.Get("a"); !ok || s != state {
			t.Error("a is gone")
		}
		c.Put("d", state)
		step("one more than the limit", "cad")
		c.Put("a", nil)
		c.Put("x", nil)
		step("removed", "cd")
		time.Sleep(tlsSessionTime / 2)
		c.Put("c", state)
		time.Sleep(tlsSessionTime / 2)
		if _, ok := c.Get("d"); ok {
			t.Error("d was not used for an hour")
		}
		step("after an hour", "c")
	})
}

// A Transport resumes the sessions of more hosts than 1024.
func TestResumptionOfManyHosts(t *testing.T) {
	const hosts = 3000
	cache := new(Transport).tlsSessions()
	state := new(tls.ClientSessionState)
	for i := range hosts {
		cache.Put(fmt.Sprint(i), state)
	}
	for i := range hosts {
		if _, ok := cache.Get(fmt.Sprint(i)); !ok {
			t.Fatalf("the session of host %d of %d is gone", i, hosts)
		}
	}
}
