package smtpclient

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// limitedHost is a host that accepts a few connections at a time, over pipes. It
// needs 20 ms for each message.
type limitedHost struct {
	greeting string // to a connection too many; empty closes it

	mu      sync.Mutex // guards all below
	limit   int
	live    int
	taken   int // messages
	refused int // connections
}

func (h *limitedHost) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	go h.serve(server)
	return client, nil
}

func (h *limitedHost) serve(conn net.Conn) {
	defer conn.Close()
	h.mu.Lock()
	if h.live >= h.limit {
		h.refused++
		h.mu.Unlock()
		if h.greeting != "" {
			io.WriteString(conn, h.greeting+"\r\n")
		}
		return
	}
	h.live++
	h.mu.Unlock()
	defer func() {
		time.Sleep(10 * time.Millisecond) // until it notices
		h.mu.Lock()
		h.live--
		h.mu.Unlock()
	}()
	r := bufio.NewReader(conn)
	io.WriteString(conn, "220 mx\r\n")
	for {
		line, err := r.ReadString('\n')
		if err != nil || strings.HasPrefix(line, "QUIT") {
			return
		}
		if strings.HasPrefix(line, "DATA") {
			io.WriteString(conn, "354 go\r\n")
			for line != ".\r\n" {
				if line, err = r.ReadString('\n'); err != nil {
					return
				}
			}
			time.Sleep(20 * time.Millisecond)
			h.mu.Lock()
			h.taken++
			h.mu.Unlock()
		}
		io.WriteString(conn, "250 2.0.0 ok\r\n")
	}
}

// counts returns the messages accepted and the connections refused so far.
func (h *limitedHost) counts() (taken, refused int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.taken, h.refused
}

// flood sends n messages from 20 goroutines to the destinations in turn. It
// returns how many were not delivered.
func flood(t *testing.T, tr *Transport, n int, dests ...*Destination) (failed int) {
	var mu sync.Mutex // guards failed
	var senders sync.WaitGroup
	work := make(chan int)
	for range 20 {
		senders.Go(func() {
			for i := range work {
				r := tr.Send(t.Context(), dests[i%len(dests)], mail("x\r\n", "b@example.net"))[0]
				if r.Outcome != Success {
					mu.Lock()
					failed++
					mu.Unlock()
					time.Sleep(100 * time.Millisecond) // a queue does not hurry either
				}
			}
		})
	}
	for i := range n {
		work <- i
	}
	close(work)
	senders.Wait()
	return failed
}

// A Transport opens few connections above the limit of a host: the messages wait
// for a session instead.
func TestConnectionLimit(t *testing.T) {
	for _, tt := range []struct {
		name, greeting string
		change         func(*Transport)
		dests          []*Destination
	}{
		{name: "421", greeting: "421 4.7.0 too many connections"},
		{name: "554", greeting: "554 5.7.0 too many connections"},
		{name: "closed"},
		{name: "sessions that end after 10 messages", greeting: "421 4.7.0 too many", change: func(tr *Transport) { tr.MaxMessages = 10 }},
		{name: "several destinations on one host", greeting: "421 4.7.0 too many", dests: []*Destination{
			{Name: "a", Hosts: to("192.0.2.1:25").Hosts}, {Name: "b", Hosts: to("192.0.2.1:25").Hosts}, {Name: "c", Hosts: to("192.0.2.1:25").Hosts},
			{Name: "d", Hosts: to("192.0.2.1:25").Hosts}, {Name: "e", Hosts: to("192.0.2.1:25").Hosts}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &limitedHost{greeting: tt.greeting, limit: 3}
				tr := &Transport{Hostname: "relay.example", DialContext: h.dial}
				if tt.change != nil {
					tt.change(tr)
				}
				if tt.dests == nil {
					tt.dests = []*Destination{to("192.0.2.1:25")}
				}
				began := time.Now()
				atFirst := flood(t, tr, 100, tt.dests...) // some come before anything is known
				_, before := h.counts()
				failed := flood(t, tr, 1500, tt.dests...)
				taken, refused := h.counts()
				t.Logf("%d and %d of 1600 messages failed; %d and %d connections were refused, in %v", atFirst, failed, before, refused-before, time.Since(began))
				if failed > 0 || taken != 1600-atFirst {
					t.Errorf("%d messages failed", failed)
				}
				if n := refused - before; n > 150 {
					t.Errorf("%d connections were refused for 1500 messages", n)
				}
				tr.Close()
				time.Sleep(time.Second)
				if tr.conns.hosts["192.0.2.1:25"].live != 0 {
					t.Errorf("connections are still counted: %+v", tr.conns.hosts["192.0.2.1:25"])
				}
			})
		})
	}
}

// If a host accepts more connections than before, they are used after a while. If
// it accepts fewer, the new limit applies at once.
func TestConnectionLimitChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &limitedHost{greeting: "421 4.7.0 too many connections", limit: 3}
		tr := &Transport{Hostname: "relay.example", DialContext: h.dial}
		dst := to("192.0.2.1:25")
		flood(t, tr, 100, dst)
		h.mu.Lock()
		h.limit = 10
		h.mu.Unlock()
		time.Sleep(time.Minute)
		flood(t, tr, 200, dst)
		began := time.Now()
		flood(t, tr, 1000, dst)
		if took := time.Since(began); took > 1000*25*time.Millisecond/10 {
			t.Errorf("1000 messages by ten sessions took %v", took)
		}
		h.mu.Lock()
		h.limit = 2
		h.mu.Unlock()
		_, before := h.counts()
		failed := flood(t, tr, 3000, dst)
		_, refused := h.counts()
		if refused -= before; failed > 0 || refused == 0 || refused > 300 {
			t.Errorf("%d of 3000 messages failed, %d connections were refused", failed, refused)
		}
		tr.Close()
		time.Sleep(time.Second)
	})
}

// A message waits until MaxWait is over or its context ends.
func TestConnectionLimitWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.buffered = true
		n.host("192.0.2.1:25", ehlo+batch+"S: <hang>", "S: 421 4.7.0 too many\nS: <close>")
		tr := n.transport()
		first, stop := context.WithCancel(t.Context())
		go tr.Send(first, to("192.0.2.1:25"), mail("x\r\n", "b@example.net"))
		synctest.Wait()
		began := time.Now()
		expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net")), "unreachable 421 4.7.0 too many [mx1.example.net]")
		if d := time.Since(began); d != time.Minute {
			t.Errorf("waited %v", d)
		}
		// Now the limit is known.
		expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net")),
			"unreachable 451 4.4.5 mx1.example.net (192.0.2.1:25): the host accepts no more connections, and no session became free in time")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		expect(t, tr.Send(ctx, to("192.0.2.1:25"), mail("x\r\n", "b@example.net")), "deferred 451 4.3.2 ...")
		// If another host works, the message does not wait.
		n.host("192.0.2.2:25", ehlo+one+quit)
		dst := to("192.0.2.1:25", "192.0.2.2:25")
		dst.Name = "two hosts"
		expect(t, tr.Send(t.Context(), dst, mail("x\r\n", "b@example.net")), "success 250 2.0.0 queued [mx2.example.net]")
		stop()
		synctest.Wait()
	})
}

// A real Postfix accepts three connections from a client.
func TestConnectionLimitPostfix(t *testing.T) {
	p := (&peers.Postfix{Domains: "example.net", Main: "smtpd_client_connection_count_limit = 3\nsmtpd_client_event_limit_exceptions =\nin_flow_delay = 0\n"}).Start(t)
	tr := &Transport{Hostname: "relay.example"}
	defer tr.Close()
	dst := &Destination{Name: "x", Hosts: HostList(Host{Name: "mx", Addrs: []netip.AddrPort{netip.MustParseAddrPort(p.Addr)}})}
	refused := func() int { return strings.Count(p.Log(t), "Connection concurrency limit exceeded") }
	atFirst := flood(t, tr, 100, dst)
	before := refused()
	failed := flood(t, tr, 500, dst)
	t.Logf("%d and %d of 600 messages failed; %d and %d connections were refused", atFirst, failed, before, refused()-before)
	if n := refused() - before; failed > 0 || n > 50 || before+n == 0 {
		t.Errorf("%d messages failed, %d connections were refused for 500 messages", failed, n)
	}
}
