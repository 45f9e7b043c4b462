package smtpclient

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// counter is a host that counts its connections and the messages that it takes.
type counter struct {
	taken, conns atomic.Int64
}

func (k *counter) serve(conn net.Conn) {
	k.conns.Add(1)
	r := bufio.NewReader(conn)
	io.WriteString(conn, "220 mx\r\n")
	for {
		line, err := r.ReadString('\n')
		switch verb := line[:min(len(line), 4)]; {
		case err != nil || verb == "QUIT":
			return
		case verb == "DATA":
			io.WriteString(conn, "354 go\r\n")
			for line != ".\r\n" {
				if line, err = r.ReadString('\n'); err != nil {
					return
				}
			}
			k.taken.Add(1)
			io.WriteString(conn, "250 2.0.0 ok\r\n")
		default:
			io.WriteString(conn, "250 ok\r\n")
		}
	}
}

// A thousand domains of one host use its few sessions again and again.
func TestManyDomainsOfOneHost(t *testing.T) {
	for _, noWait := range []bool{false, true} {
		t.Run(fmt.Sprint("NoWait ", noWait), func(t *testing.T) {
			const domains, limit = 1000, 5
			k := new(counter)
			addr := netip.MustParseAddrPort(peers.Serve(t, k.serve))
			tr := &Transport{Hostname: "relay.example", MaxConnsPerAddr: limit, MaxMessages: -1}
			defer tr.Close()
			work := make(chan int, 4*domains)
			for i := range 2 * domains {
				work <- i % domains
			}
			var left sync.WaitGroup
			left.Add(2 * domains)
			var senders sync.WaitGroup
			var busy atomic.Int64
			for range limit + 2 {
				senders.Go(func() {
					for i := range work {
						domain := fmt.Sprintf("d%d.example", i)
						dst := &Destination{Name: domain, Domain: domain, Hosts: HostList(Host{Name: "mx.example", Addrs: []netip.AddrPort{addr}})}
						m := mail("x\r\n", "b@"+domain)
						m.NoWait = noWait
						switch r := tr.Send(t.Context(), dst, m)[0]; {
						case r.Outcome == Success:
							left.Done()
						case r.Outcome == Busy && noWait && r.Addr == addr.String():
							busy.Add(1)
							runtime.Gosched()
							work <- i
						default:
							t.Errorf("%+v", r)
							left.Done()
						}
					}
				})
			}
			left.Wait()
			close(work)
			senders.Wait()
			if k.taken.Load() != 2*domains || k.conns.Load() > limit {
				t.Errorf("%d messages, %d connections", k.taken.Load(), k.conns.Load())
			}
			t.Logf("%d connections; %d times busy", k.conns.Load(), busy.Load())
		})
	}
}

// While a host is silent, the mail of all its domains is Busy at once, after as
// many attempts as it may have.
func TestManyDomainsOfSilentHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		var hang []string
		for range 20 {
			hang = append(hang, "S: <hang>")
		}
		n.host("192.0.2.1:25", hang...)
		tr := n.transport()
		var waiting atomic.Int64
		for i := range 1000 {
			go func() {
				dst := to("192.0.2.1:25")
				dst.Name = fmt.Sprintf("d%d.example", i)
				m := mail("x\r\n", "b@example.net")
				m.NoWait = true
				waiting.Add(1)
				defer waiting.Add(-1)
				r := tr.Send(t.Context(), dst, m)[0]
				if r.Addr != "192.0.2.1:25" || r.Outcome != Busy && r.Outcome != Unreachable {
					t.Errorf("%+v", r)
				}
			}()
		}
		synctest.Wait()
		if got := waiting.Load(); got != 20 {
			t.Errorf("%d messages wait for the host, want 20", got)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if got := waiting.Load(); got != 0 || len(tr.conns.hosts) != 0 {
			t.Errorf("%d messages wait for the host after its timeout; counted: %v", got, tr.conns.hosts)
		}
	})
}

// If all sessions with an address are in use, mail uses another address of the
// same preference, and does not use a worse one.
func TestBusyAndPreference(t *testing.T) {
	for _, tt := range []struct {
		name    string
		second  int // preference of the second host
		carries bool
		learned bool // the host has refused a connection
	}{
		{name: "equal preference", carries: true},
		{name: "worse preference", second: 20},
		{name: "equal preference, learned", carries: true, learned: true},
		{name: "worse preference, learned", second: 20, learned: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				n.buffered = true
				n.host("192.0.2.1:25", ehlo+batch+"S: <hang>")
				tr := n.transport()
				if tt.learned {
					n.host("192.0.2.1:25", "S: 421 4.7.0 too many\nS: <close>")
				} else {
					tr.MaxConnsPerAddr = 1
				}
				ctx, cancel := context.WithCancel(t.Context())
				go tr.Send(ctx, to("192.0.2.1:25"), mail("x\r\n", "b@example.net"))
				synctest.Wait()
				if tt.carries {
					n.host("192.0.2.2:25", ehlo+one+one+quit)
				}
				dst := to("192.0.2.1:25", "192.0.2.2:25")
				dst.Name = "other.example"
				hosts, _ := dst.Hosts(ctx)
				hosts[1].Preference = tt.second
				m := mail("x\r\n", "b@example.net")
				m.NoWait = true
				for range 2 {
					began := time.Now()
					r := tr.Send(ctx, dst, m)
					if tt.carries {
						expect(t, r, "success 250 2.0.0 queued [mx2.example.net]")
					} else {
						expect(t, r, "busy 451 4.4.5 mx1.example.net (192.0.2.1:25): all connections that are allowed to the host are in use")
						if r[0].Addr != "192.0.2.1:25" {
							t.Errorf("%+v", r[0])
						}
					}
					if took := time.Since(began); took > 0 {
						t.Errorf("it took %v", took)
					}
				}
				cancel()
				synctest.Wait()
			})
		})
	}
}

// Idle sessions for other mail make room, also for mail that does not wait.
func TestIdleSessionsMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:25", ehlo+one+quit, strings.ReplaceAll(ehlo, "relay.", "other.")+one+quit, ehlo+one+quit)
		tr := n.transport()
		tr.Hostname, tr.MaxConnsPerAddr = "", 1
		for _, name := range []string{"relay.example", "other.example", "relay.example"} {
			dst := to("192.0.2.1:25")
			dst.Hostname = name
			m := mail("x\r\n", "b@example.net")
			m.NoWait = true
			expect(t, tr.Send(t.Context(), dst, m), queued)
		}
	})
}

// A host that is gone is found to be unreachable, although there are idle
// sessions with it for other mail.
func TestHostGoneWithIdleSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:25", ehlo+one+quit)
		tr := n.transport()
		expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net")), queued)
		dst := to("192.0.2.1:25")
		dst.Connector = "other"
		m := mail("x\r\n", "b@example.net")
		m.NoWait = true
		expect(t, tr.Send(t.Context(), dst, m), "unreachable 451 4.4.1 ...")
	})
}

// The result has the address that was tried last, but not one that a policy
// excludes.
func TestResultAddr(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.2:25", "S: 554 5.7.1 no\nC: QUIT\nC: <eof>")
		n.host("192.0.2.3:25", "S: <hang>")
		for _, tt := range []struct {
			addrs, want string
			level       TLSLevel
		}{
			{"192.0.2.1:25", "192.0.2.1:25", 0},
			{"192.0.2.2:25 192.0.2.1:25", "192.0.2.2:25", 0}, // the reply is that of the first
			{"192.0.2.1:25 192.0.2.3:25", "192.0.2.3:25", 0},
			{"192.0.2.1:25", "", TLSDANE},
		} {
			dst := to(strings.Fields(tt.addrs)...)
			dst.TLS = &TLSPolicy{Level: tt.level}
			if r := n.transport().Send(t.Context(), dst, mail("x\r\n", "b@example.net"))[0]; r.Outcome != Unreachable || r.Addr != tt.want {
				t.Errorf("%s: %+v", tt.addrs, r)
			}
		}
	})
}
