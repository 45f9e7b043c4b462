package smtpclient

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// refused is a transaction in which the recipient is refused.
const refused = batch + `
	S: 250 ok
	S: 550 5.1.1 unknown
	S: 503 5.5.1 none
	`

func TestReuse(t *testing.T) {
	const fromReset = "C: RSET" + batch + `
		S: 250 reset
		S: 250 ok
		S: 250 ok
		S: 354 go ahead
		C: <content>
		S: 250 2.0.0 after RSET
		`
	for _, tt := range []struct {
		name    string
		scripts []string // one for each connection
		setup   func(*Transport)
		pause   time.Duration // before each message but the first
		want    []string      // what became of each message
	}{
		{name: "messages share a session",
			scripts: []string{ehlo + one + one + one + quit},
			want:    []string{queued, queued, queued}},
		{name: "RSET only where a transaction stayed open",
			scripts: []string{ehlo + refused + fromReset + one + quit},
			want:    []string{"failure 550 5.1.1 unknown [mx1.example.net]", "success 250 2.0.0 after RSET [mx1.example.net]", queued}},
		{name: "closed while idle",
			scripts: []string{ehlo + one + "S: <close>", ehlo + one + quit},
			want:    []string{queued, queued}},
		{name: "421 to MAIL on a kept session",
			scripts: []string{ehlo + one + batch + "S: 421 4.7.0 one message is enough\nS: <close>", ehlo + one + quit},
			want:    []string{queued, queued}},
		{name: "closed after RSET",
			scripts: []string{ehlo + refused + "C: RSET\nC: <any>\nC: <any>\nC: <any>\nS: <close>", ehlo + one + quit},
			want:    []string{"failure 550 5.1.1 unknown [mx1.example.net]", queued}},
		{name: "closed twice, the second time on a new session",
			scripts: []string{ehlo + one + "S: <close>", ehlo + batch + "S: <close>"},
			want:    []string{queued, "deferred 451 4.4.2 session with mx1.example.net failed: reply to MAIL: ..."}},
		{name: "4xx to MAIL on a kept session",
			scripts: []string{ehlo + one + batch + "S: 450 4.7.1 enough for one session\nS: 503 5.5.1 no\nS: 503 5.5.1 no" + quit, ehlo + one + quit},
			want:    []string{queued, queued}},
		{name: "4xx to MAIL also on the new session",
			scripts: []string{ehlo + one + batch + "S: 450 4.7.1 slow down\nS: 503 5.5.1 no\nS: 503 5.5.1 no" + quit, ehlo + batch + "S: 450 4.7.1 slow down\nS: 503 5.5.1 no\nS: 503 5.5.1 no" + quit},
			want:    []string{queued, "deferred 450 4.7.1 slow down [mx1.example.net]"}},
		{name: "4xx to RCPT on a kept session",
			scripts: []string{ehlo + one + batch + "S: 250 ok\nS: 451 4.7.1 greylisted\nS: 503 5.5.1 no" + quit},
			want:    []string{queued, "deferred 451 4.7.1 greylisted [mx1.example.net]"}},
		{name: "lost after the end of data on a kept session",
			scripts: []string{ehlo + one + all + "S: <close>"},
			want:    []string{queued, "deferred 451 4.4.2 ..."}},
		{name: "an unsolicited reply ends the session",
			scripts: []string{ehlo + all + "S: 250 2.0.0 queued<crlf>421 4.4.2 and goodbye" + quit, ehlo + one + quit},
			want:    []string{queued, queued}},
		{name: "MaxMessages", setup: func(t *Transport) { t.MaxMessages = 2 },
			scripts: []string{ehlo + one + one + quit, ehlo + one + quit},
			want:    []string{queued, queued, queued}},
		{name: "the host's own limits (RFC 9422)",
			scripts: []string{limits + one + one + quit, limits + one + quit},
			want:    []string{queued, queued, queued}},
		{name: "MaxAge", setup: func(t *Transport) { t.MaxAge = time.Minute }, pause: 20 * time.Second,
			scripts: []string{ehlo + one + one + one + one + quit, ehlo + one + quit},
			want:    []string{queued, queued, queued, queued, queued}},
		{name: "IdleTimeout", setup: func(t *Transport) { t.IdleTimeout = 10 * time.Second }, pause: 11 * time.Second,
			scripts: []string{ehlo + one + quit, ehlo + one + quit},
			want:    []string{queued, queued}},
		{name: "MaxIdle", setup: func(t *Transport) { t.MaxIdle = -1 },
			scripts: []string{ehlo + one + quit, ehlo + one + quit},
			want:    []string{queued, queued}},
		{name: "closed Transport", setup: func(t *Transport) { t.Close() },
			scripts: []string{ehlo + one + quit, ehlo + one + quit},
			want:    []string{queued, queued}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				n.host("192.0.2.1:25", tt.scripts...)
				tr := n.transport()
				if tt.setup != nil {
					tt.setup(tr)
				}
				for i, want := range tt.want {
					if i > 0 {
						time.Sleep(tt.pause) // in the bubble's time
						synctest.Wait()
					}
					expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net")), want)
				}
			})
		})
	}
}

// limits is a host that accepts two messages in a session.
const limits = "S: 220 mx\nC: EHLO relay.example\nS: 250-mx\nS: 250-PIPELINING\nS: 250 LIMITS MAILMAX=2 RCPTMAX=10 WHAT=0"

const queued = "success 250 2.0.0 queued [mx1.example.net]"

// Destinations without a name share sessions only if their hosts are the same.
func TestUnnamedDestinations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:25", ehlo+one+one+quit, ehlo+one+quit)
		n.host("192.0.2.2:25", ehlo+one+quit)
		tr := n.transport()
		const mx2 = "success 250 2.0.0 queued [mx2.example.net]"
		for _, tt := range []struct{ name, addr, want string }{
			{"mx1.example.net", "192.0.2.1:25", queued},
			{"mx1.example.net", "192.0.2.2:25", queued},
			{"mx2.example.net", "192.0.2.1:25", mx2},
			{"mx1.example.net", "192.0.2.1:25", queued},
		} {
			dst := &Destination{Hosts: HostList(Host{Name: tt.name, Addrs: []netip.AddrPort{netip.MustParseAddrPort(tt.addr)}})}
			expect(t, tr.Send(t.Context(), dst, mail("x\r\n", "b@example.net")), tt.want)
		}
		expect(t, tr.Send(t.Context(), &Destination{Hosts: func(context.Context) ([]Host, error) { return nil, errors.New("no answer") }}, mail("x\r\n", "b@example.net")),
			"unreachable 451 4.4.3 cannot find the hosts of the destination: no answer")
		expect(t, tr.Send(t.Context(), &Destination{}, mail("x\r\n", "b@example.net")), "unreachable 451 4.3.5 Destination.Hosts is not set")
	})
}

// Hosts of equal preference come in any order.
func TestUnnamedDestinationShuffled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:25", ehlo+one+one+quit)
		tr := n.transport()
		dst, shuffled := to("192.0.2.1:25", "192.0.2.2:25"), to("192.0.2.1:25", "192.0.2.2:25")
		hosts, _ := dst.Hosts(t.Context())
		shuffled.Hosts = HostList(hosts[1], hosts[0])
		for _, d := range []*Destination{dst, shuffled} {
			d.Name = ""
			expect(t, tr.Send(t.Context(), d, mail("x\r\n", "b@example.net")), queued)
		}
	})
}

// If there are too many idle sessions, the oldest is closed.
func TestMaxIdleTotal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		tr := n.transport()
		tr.MaxIdleTotal = 2
		for i, script := range []string{ehlo + one + quit, ehlo + one + one + quit, ehlo + one + quit} {
			n.host(fmt.Sprintf("192.0.2.%d:25", i), script)
		}
		for i := range 4 {
			addr := fmt.Sprintf("192.0.2.%d:25", min(i, 2)) // 0, 1, 2, 1: 0 goes for 2
			if i == 3 {
				addr = "192.0.2.1:25"
			}
			dst := to(addr)
			dst.Name = addr
			expect(t, tr.Send(t.Context(), dst, mail("x\r\n", "b@example.net")), queued)
		}
		synctest.Wait()
		if got := tr.pool.oldest.Len(); got != 2 {
			t.Errorf("%d idle sessions, want 2", got)
		}
		tr.CloseIdle()
		if got := tr.pool.oldest.Len(); got != 0 {
			t.Errorf("%d idle sessions after CloseIdle", got)
		}
	})
}

// By default, idle sessions may take half of the files that the process may
// have open.
func TestMaxIdleTotalDefault(t *testing.T) {
	n, ok := openFiles()
	if !ok {
		t.Skip("the system has no limit of open files")
	}
	tr := new(Transport)
	if got, want := tr.maxIdleTotal(), int(min(n/2, maxIdleTotal)); got != want || want <= 500 && n > 2000 {
		t.Errorf("%d idle sessions with %d files, want %d", got, n, want)
	}
}

// Hosts with which no session could be opened are tried after the others for a
// while.
func TestDownHost(t *testing.T) {
	t.Run("no connection", func(t *testing.T) { testDownHost(t, nil) })
	t.Run("no greeting", func(t *testing.T) { testDownHost(t, []string{"S: <hang>"}) })
}

func testDownHost(t *testing.T, first []string) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:25", first...)
		n.host("192.0.2.2:25", ehlo+one+quit, ehlo+one+quit)
		tr := n.transport()
		tr.MaxIdle = -1
		dst := to("192.0.2.1:25", "192.0.2.2:25")
		send := func(want string) {
			t.Helper()
			expect(t, tr.Send(t.Context(), dst, mail("x\r\n", "b@example.net")), want)
		}
		send("success 250 2.0.0 queued [mx2.example.net]")
		send("success 250 2.0.0 queued [mx2.example.net]")
		time.Sleep(time.Minute)
		n.host("192.0.2.1:25", ehlo+one+quit)
		send(queued)
		want := "[192.0.2.1:25 192.0.2.2:25 192.0.2.2:25 192.0.2.1:25]"
		if got := fmt.Sprint(n.dialled); got != want {
			t.Errorf("dialled %v, want %v", got, want)
		}
	})
}

// A Send tries at most MaxAddrs addresses and alternates between IPv4 and IPv6.
func TestMaxAddrs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		dst := to("192.0.2.1:25", "192.0.2.2:25")
		hosts, _ := dst.Hosts(t.Context())
		for _, a := range []string{"192.0.2.3:25", "[2001:db8::1]:25", "[2001:db8::2]:25", "[2001:db8::3]:25"} {
			hosts[0].Addrs = append(hosts[0].Addrs, netip.MustParseAddrPort(a))
		}
		rs := n.transport().Send(t.Context(), dst, mail("x\r\n", "b@example.net"))
		expect(t, rs, "unreachable 451 4.4.1 ...")
		want := "[192.0.2.1:25 [2001:db8::1]:25 192.0.2.3:25 [2001:db8::2]:25 [2001:db8::3]:25]"
		if got := fmt.Sprint(n.dialled); got != want {
			t.Errorf("dialled %v, want %v", got, want)
		}
	})
}

// If hosts reply 4xx, a message is tried in at most MaxSessions sessions.
func TestMaxSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		later := ehlo + batch + "S: 451 4.3.0 later\nS: 503 5.5.1 no\nS: 503 5.5.1 no" + quit
		n.host("192.0.2.1:25", later)
		n.host("192.0.2.2:25", later)
		rs := n.transport().Send(t.Context(), to("192.0.2.1:25", "192.0.2.2:25", "192.0.2.3:25"), mail("x\r\n", "b@example.net"))
		expect(t, rs, "deferred 451 4.3.0 later [mx2.example.net]")
		if len(n.dialled) != 2 {
			t.Errorf("dialled %v", n.dialled)
		}
	})
}
