package smtpclient

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/smtpclient/dane"
	"github.com/bridgehead-mail/bridgehead/smtpclient/tlsrpt"
)

// dead4 returns n IPv4 addresses that refuse connections.
func dead4(n int) []string {
	var addrs []string
	for i := range n {
		addrs = append(addrs, fmt.Sprintf("198.51.100.%d:25", i+1))
	}
	return addrs
}

// dialledSince returns the addresses that were dialled since the last call.
func (n *network) dialledSince() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	got := strings.Join(n.dialled, " ")
	n.dialled = nil
	return got
}

// If dead addresses come first, a later attempt reaches the working one after
// them, even if the retry interval is longer than HostDownTime.
func TestHostAfterDeadHosts(t *testing.T) {
	for _, c := range []struct {
		dead     int
		interval time.Duration
		attempts int // the one that finds the live host
	}{
		{4, 10 * time.Minute, 1}, {5, 10 * time.Minute, 2}, {8, 15 * time.Minute, 2}, {9, 15 * time.Minute, 3}, {20, 4 * time.Hour, 5},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			n.host("192.0.2.1:25", ehlo+one+quit)
			tr := n.transport()
			tr.MaxIdle = -1
			dst := to(append(dead4(c.dead), "192.0.2.1:25")...)
			for i := range c.attempts {
				rs := tr.Send(t.Context(), dst, mail("x\r\n", "b@example.net"))
				tried := strings.Fields(n.dialledSince())
				if found := rs[0].Outcome == Success; found != (i+1 == c.attempts) || len(tried) > 5 {
					t.Errorf("%d dead, attempt %d: %v, dialled %v", c.dead, i+1, rs[0].Outcome, tried)
				}
				time.Sleep(c.interval)
			}
			// After that, each attempt tries only one dead address.
			n.host("192.0.2.1:25", ehlo+one+quit)
			expect(t, tr.Send(t.Context(), dst, mail("x\r\n", "b@example.net")), fmt.Sprintf("success 250 2.0.0 queued [mx%d.example.net]", c.dead+1))
			if tried := strings.Fields(n.dialledSince()); len(tried) > 2 {
				t.Errorf("%d dead: then dialled %v", c.dead, tried)
			}
		})
	}
}

// Each preferred host is used again as soon as it works.
func TestPreferredHostIsUsedAgain(t *testing.T) {
	for _, back := range []int{0, 1, 2} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			tr := n.transport()
			tr.MaxIdle = -1
			hosts := []string{"192.0.2.1:25", "192.0.2.2:25", "192.0.2.3:25", "192.0.2.9:25"}
			dst := to(hosts...)
			n.host(hosts[3], ehlo+one+quit)
			expect(t, tr.Send(t.Context(), dst, mail("x\r\n", "b@example.net")), "success 250 2.0.0 queued [mx4.example.net]")
			for i := range 4 {
				time.Sleep(10 * time.Minute)
				n.mu.Lock()
				clear(n.scripts)
				n.mu.Unlock()
				n.host(hosts[back], ehlo+one+quit)
				n.host(hosts[3], ehlo+one+quit)
				rs := tr.Send(t.Context(), dst, mail("x\r\n", "b@example.net"))
				if rs[0].Addr == hosts[back] {
					n.mu.Lock()
					clear(n.scripts)
					n.mu.Unlock()
					return
				}
				if i == 3 {
					t.Errorf("%s works again and is not used: %+v", hosts[back], rs)
				}
			}
		})
	}
}

// If all addresses fail, all of them are tried in turn.
func TestAllAddressesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		tr := n.transport()
		dst := to(dead4(12)...)
		tried := map[string]int{}
		for range 12 {
			tr.Send(t.Context(), dst, mail("x\r\n", "b@example.net"))
			for addr := range strings.FieldsSeq(n.dialledSince()) {
				tried[addr]++
			}
			time.Sleep(10 * time.Minute)
		}
		if len(tried) != 12 {
			t.Errorf("tried %v", tried)
		}
		for addr, times := range tried {
			if times < 3 || times > 8 {
				t.Errorf("%s was tried %d times of 60", addr, times)
			}
		}
	})
}

// Addresses of both families are tried, even if all addresses of one family are
// preferred.
func TestFamiliesAreBalanced(t *testing.T) {
	six := func(n int) (addrs []string) {
		for i := range n {
			addrs = append(addrs, fmt.Sprintf("[2001:db8::%d]:25", i+1))
		}
		return addrs
	}
	for _, c := range []struct {
		addrs []string
		max   int
		want  string
	}{
		{append(six(6), "192.0.2.1:25"), 5, "2001:db8::1 2001:db8::2 2001:db8::3 2001:db8::4 192.0.2.1 2001:db8::5 2001:db8::6"},
		{append(six(4), "192.0.2.1:25", "192.0.2.2:25", "192.0.2.3:25"), 4, "2001:db8::1 2001:db8::2 192.0.2.1 192.0.2.2 2001:db8::3 2001:db8::4 192.0.2.3"},
		{append(dead4(3), six(3)...), 2, "198.51.100.1 2001:db8::1 198.51.100.2 198.51.100.3 2001:db8::2 2001:db8::3"},
		{append(six(3), "192.0.2.1:25"), 5, "2001:db8::1 2001:db8::2 2001:db8::3 192.0.2.1"},
		{append([]string{"192.0.2.1:25", "192.0.2.2:25"}, six(5)...), 5, "192.0.2.1 192.0.2.2 2001:db8::1 2001:db8::2 2001:db8::3 2001:db8::4 2001:db8::5"},
		{append(six(3), "192.0.2.1:25"), 1, "2001:db8::1 2001:db8::2 2001:db8::3 192.0.2.1"},
		{dead4(6), 5, "198.51.100.1 198.51.100.2 198.51.100.3 198.51.100.4 198.51.100.5 198.51.100.6"},
	} {
		list, err := (&Transport{}).candidates(t.Context(), to(c.addrs...))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, tg := range balance(list, c.max) {
			got = append(got, tg.ip.String())
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%v, limit %d:\ngot  %v\nwant %s", c.addrs, c.max, got, c.want)
		}
	}
}

// Hosts that a policy excludes are not tried and do not count in MaxAddrs: Send
// reaches the host after them that the policy allows.
func TestExcludedHostsDoNotCount(t *testing.T) {
	for name, exclude := range map[string]func(*Transport, *Host){
		"MTA-STS": func(tr *Transport, h *Host) {
			tr.MTASTS = web("version: STSv1\nmode: enforce\nmx: listed.example.net\nmax_age: 86400\n").cache()
		},
		"a TLSA lookup fails": func(_ *Transport, h *Host) { h.DANE = &dane.Answer{Err: errors.New("bogus")} },
	} {
		t.Run(name, func(t *testing.T) {
			ca := newAuthority(t, "CA")
			n := newNetwork(t)
			n.tls = server(ca.issue(nil, "listed.example.net"))
			n.host("192.0.2.1:25", offer+upgraded)
			tr := n.transport()
			tr.TLSConfig = ca.roots()
			dst := to(append(dead4(8), "192.0.2.1:25")...)
			dst.Domain = "example.net"
			hosts, _ := dst.Hosts(t.Context())
			for i := range hosts[:8] {
				exclude(tr, &hosts[i])
				hosts[i].Addrs = slices.Concat(hosts[i].Addrs, hosts[(i+1)%8].Addrs)
			}
			hosts[8].Name = "listed.example.net"
			var reported []string
			tr.TLSReport = func(s tlsrpt.Session) {
				if s.Result != "" {
					reported = append(reported, s.MXHost)
				}
			}
			expect(t, tr.Send(t.Context(), dst, mail("x\r\n", "b@example.net")), "success 250 2.0.0 queued [listed.example.net]")
			if got := n.dialledSince(); got != "192.0.2.1:25" {
				t.Errorf("dialled %s", got)
			}
			if len(reported) != 8 {
				t.Errorf("reported %v, want each excluded host once", reported)
			}
		})
	}
}

// A failure that a domain's policy causes does not count for other domains: their
// mail still uses the address first. For the same domain, the next attempt
// begins with another host.
func TestPolicyFailureCountsForItsDomain(t *testing.T) {
	const wait = "S: 220 mx\nC: EHLO relay.example\nS: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go ahead\n"
	bad := &dane.Answer{Records: []dane.Record{{Usage: 3, Matching: 1, Data: make([]byte, 32)}}, Names: []string{"mx1.example.net"}}
	for name, c := range map[string]struct {
		evil   func(*Transport, *Destination)
		script string
	}{
		"DANE": {func(_ *Transport, d *Destination) {
			hosts, _ := d.Hosts(nil)
			hosts[0].DANE = bad
		}, offer},
		"MTA-STS": {func(tr *Transport, d *Destination) {
			tr.MTASTS = web("version: STSv1\nmode: enforce\nmx: *.example.net\nmax_age: 86400\n").cache()
			d.Domain = "evil.example"
		}, offer},
		"no STARTTLS": {func(_ *Transport, d *Destination) { d.TLS = &TLSPolicy{Level: TLSEncrypt} }, noOffer + quit},
		"handshake":   {func(_ *Transport, d *Destination) { d.TLS = &TLSPolicy{Level: TLSEncrypt} }, wait + "C: <garble>"},
		"credentials": {func(tr *Transport, d *Destination) {
			tr.AllowInsecureAuth = true
			d.Auth = PasswordAuth("u", "p")
		}, "S: 220 mx\nC: EHLO relay.example\nS: 250-mx\nS: 250 AUTH PLAIN\nC: <any>\nS: 535 5.7.8 no" + quit},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t)
			n.tls = server(newAuthority(t, "stranger").issue(nil, "mx1.example.net"))
			n.host("192.0.2.1:25", c.script, ehlo+one+quit)
			tr := n.transport()
			tr.MaxIdle, tr.MaxAddrs = -1, 1
			evil, good := to("192.0.2.1:25", "192.0.2.2:25"), to("192.0.2.1:25", "192.0.2.3:25")
			evil.Name = "evil.example"
			c.evil(tr, evil)
			if rs := tr.Send(t.Context(), evil, mail("x\r\n", "b@example.net")); rs[0].Outcome != Unreachable {
				t.Fatalf("%+v", rs)
			}
			n.dialledSince()
			expect(t, tr.Send(t.Context(), good, mail("x\r\n", "b@example.net")), queued)
			if got := n.dialledSince(); got != "192.0.2.1:25" {
				t.Errorf("for the other domain dialled %s", got)
			}
			tr.Send(t.Context(), evil, mail("x\r\n", "b@example.net"))
			if got := n.dialledSince(); !strings.HasPrefix(got, "192.0.2.2:25") {
				t.Errorf("for the same domain dialled %s", got)
			}
		})
	}
}

// The policy domain of a smart host is its own name (RFC 8461, 3.4). Its policy
// applies if the operator has set nothing stricter, and it gets the reports.
func TestPolicyDomainOfHost(t *testing.T) {
	ca := newAuthority(t, "CA")
	for _, c := range []struct {
		name   string
		policy TLSPolicy
		cert   string
		script string
		want   string
	}{
		{"enforced", TLSPolicy{}, "", noOffer + quit, "unreachable 451 4.7.4 ..."},
		{"met", TLSPolicy{}, "mx1.example.net", offer + upgraded, queued},
		{"not met", TLSPolicy{}, "wrong.example", offer, "unreachable 451 4.7.5 ..."},
		{"encryption is not stricter", TLSPolicy{Level: TLSEncrypt}, "wrong.example", offer, "unreachable 451 4.7.5 ..."},
		{"the operator's name counts", TLSPolicy{Level: TLSDomain, Domain: "wrong.example"}, "wrong.example", offer + upgraded, queued},
		{"switched off", TLSPolicy{IgnorePublished: true}, "", noOffer + stepwise + quit, queued},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNetwork(t)
			if c.cert != "" {
				n.tls = server(ca.issue(nil, c.cert))
			}
			n.host("192.0.2.1:25", c.script)
			tr := n.transport()
			tr.TLS, tr.TLSConfig = c.policy, ca.roots()
			tr.MTASTS = web("version: STSv1\nmode: enforce\nmx: mx1.example.net\nmax_age: 86400\n").cache()
			reports := 0
			tr.TLSReport = func(s tlsrpt.Session) {
				if reports++; s.Domain != "provider.example" {
					t.Errorf("reported to %s", s.Domain)
				}
			}
			dst := to("192.0.2.1:25") // no Domain
			hosts, _ := dst.Hosts(t.Context())
			hosts[0].Domain = "provider.example"
			expect(t, tr.Send(t.Context(), dst, mail("x\r\n", "b@example.net")), c.want)
			if want := map[bool]int{false: 1, true: 0}[c.policy.IgnorePublished]; reports != want {
				t.Errorf("%d reports, want %d", reports, want)
			}
		})
	}
}
