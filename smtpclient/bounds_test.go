package smtpclient

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// With Hurry, each timeout up to the end of data is 10 s at most. After that, it
// is as long as without.
func TestHurry(t *testing.T) {
	for _, tt := range []struct {
		name, script       string
		content            int
		unhurried, hurried time.Duration
		outcome            Outcome
	}{
		{"connection", "<timeout>", 0, 30 * time.Second, 10 * time.Second, Unreachable},
		{"greeting", "S: <hang>", 0, 5 * time.Minute, 10 * time.Second, Unreachable},
		{"EHLO", "S: 220 mx\nC: <any>\nS: <hang>", 0, 5 * time.Minute, 10 * time.Second, Unreachable},
		{"STARTTLS", offerTo("C: STARTTLS\nS: <hang>"), 0, 5 * time.Minute, 10 * time.Second, Unreachable},
		{"TLS", offerTo("C: STARTTLS\nS: 220 go\nS: <freeze>"), 0, time.Minute, 10 * time.Second, Unreachable},
		{"MAIL", ehlo + batch + "S: <hang>", 0, 5 * time.Minute, 10 * time.Second, Deferred},
		{"RCPT", ehlo + batch + "S: 250 ok\nS: <hang>", 0, 5 * time.Minute, 10 * time.Second, Deferred},
		{"DATA", ehlo + batch + "S: 250 ok\nS: 250 ok\nS: <hang>", 0, 2 * time.Minute, 10 * time.Second, Deferred},
		{"content", ehlo + batch + "S: 250 ok\nS: 250 ok\nS: 354 go\nS: <freeze>", 1 << 20, 3*time.Minute + time.Second, 11 * time.Second, Deferred},
		{"end of data", ehlo + all + "S: <hang>", 0, 10 * time.Minute, 10 * time.Minute, Deferred},
	} {
		for _, hurry := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %v", tt.name, hurry), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := newNetwork(t)
					n.host("192.0.2.1:25", tt.script)
					dst := to("192.0.2.1:25")
					if strings.Contains(tt.script, "STARTTLS") {
						dst.TLS = &TLSPolicy{Level: TLSEncrypt}
					}
					m := mail(strings.Repeat("x\r\n", tt.content/3), "b@example.net")
					m.Hurry = hurry
					began := time.Now()
					r := n.transport().Send(t.Context(), dst, m)[0]
					want := tt.unhurried
					if hurry {
						want = tt.hurried
					}
					if took := time.Since(began); took != want || r.Outcome != tt.outcome || r.Addr != "192.0.2.1:25" {
						t.Errorf("%v: %+v, want %v", took, r, want)
					}
				})
			})
		}
	}
}

// offerTo is a host that offers STARTTLS and then does what the script says.
func offerTo(script string) string {
	return "S: 220 mx\nC: EHLO relay.example\nS: 250-mx\nS: 250 STARTTLS\n" + script
}

// With Hurry, a slow link is still fast enough: a host that reads 2 KiB/s.
func TestHurrySlowLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &Transport{Hostname: "relay.example", DialContext: slowHost{perSecond: 2 << 10}.dial}
		defer tr.Close()
		m := mail(strings.Repeat("x\r\n", 100<<10), "b@example.net")
		m.Hurry = true
		expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), m), queued)
	})
}

// slowHost is a host that needs some time for each reply or reads slowly.
type slowHost struct {
	reply     time.Duration
	perSecond int // octets of content; 0 means no limit
}

func (h slowHost) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	go h.serve(server)
	return client, nil
}

func (h slowHost) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 1024)
	say := func(s string) {
		time.Sleep(h.reply)
		io.WriteString(conn, s+"\r\n")
	}
	say("220 mx")
	for {
		line, err := r.ReadString('\n')
		switch verb := line[:min(len(line), 4)]; {
		case err != nil || verb == "QUIT":
			return
		case verb == "DATA":
			say("354 go")
			for n := 0; line != ".\r\n"; n += len(line) {
				if line, err = r.ReadString('\n'); err != nil {
					return
				}
				if h.perSecond > 0 && n > h.perSecond {
					time.Sleep(time.Second)
					n = 0
				}
			}
			say("250 2.0.0 queued")
		default:
			say("250 ok")
		}
	}
}

// A Send ends when the time of the attempt is over, whatever the hosts do. It
// never ends before the reply to the end of data.
func TestAttemptTime(t *testing.T) {
	const size = 3000 / 1024 * time.Second // for the content
	const hosts = "192.0.2.1:25 192.0.2.2:25 192.0.2.3:25 192.0.2.4:25 192.0.2.5:25"
	for _, tt := range []struct {
		name   string
		script string // of each host
		change func(*Transport)
		want   time.Duration
		result string
		dials  int
	}{
		{"all hosts are silent", "S: <hang>", nil, 25 * time.Minute, "unreachable 451 4.4.2 mx5.example.net ...", 5},
		{"the third is cut off", "S: <hang>", func(t *Transport) { t.AttemptTime = 12 * time.Minute }, 12*time.Minute + size, "unreachable 451 4.4.2 mx3.example.net ...", 3},
		{"no connection", "<timeout>", func(t *Transport) { t.AttemptTime = 70 * time.Second }, 70*time.Second + size, "unreachable 451 4.4.1 mx3.example.net ...", 3},
		{"the second session is cut off", ehlo + batch + "S: <hang>", func(t *Transport) { t.AttemptTime = 6 * time.Minute }, 6*time.Minute + size,
			"deferred 451 4.4.2 session with mx2.example.net timed out: ...", 2},
		{"after the end of data", ehlo + all + "S: <hang>", func(t *Transport) { t.AttemptTime = time.Second }, 10 * time.Minute,
			"deferred 451 4.4.2 session with mx1.example.net timed out: no valid reply to the end of data, the host may have accepted the message...", 1},
		{"the size counts", "S: <hang>", func(t *Transport) { t.AttemptTime, t.AttemptRate = 5*time.Minute, 10 }, 5*time.Minute + 300*time.Second, "unreachable 451 4.4.2 ...", 2},
		{"no limit", "S: <hang>", func(t *Transport) { t.AttemptTime, t.Timeouts.Greeting = -1, time.Hour }, 5 * time.Hour, "unreachable 451 4.4.2 mx5.example.net ...", 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				for i, addr := range strings.Fields(hosts) {
					if i < tt.dials {
						n.host(addr, tt.script)
					}
				}
				tr := n.transport()
				if tt.change != nil {
					tt.change(tr)
				}
				began := time.Now()
				expect(t, tr.Send(t.Context(), to(strings.Fields(hosts)...), mail(strings.Repeat("x\r\n", 1000), "b@example.net")), tt.result)
				if took := time.Since(began); took != tt.want || len(n.dialled) != tt.dials {
					t.Errorf("it took %v and %d connections, want %v and %d", took, len(n.dialled), tt.want, tt.dials)
				}
			})
		})
	}
}

// A host that keeps each timeout cannot keep the attempt for ever. One that needs
// half a minute for each of 50 recipients can finish.
func TestAttemptTimeSlowHost(t *testing.T) {
	for _, tt := range []struct {
		reply     time.Duration
		perSecond int
		size      int
		most      time.Duration
		want      Outcome
	}{
		{reply: 30 * time.Second, most: 30 * time.Minute, want: Success},
		{reply: 4 * time.Minute, most: 30 * time.Minute, want: Deferred},
		{perSecond: 1 << 10, size: 4 << 20, most: 2 * time.Hour, want: Success},
		{perSecond: 100, size: 4 << 20, most: 30*time.Minute + 4096*time.Second, want: Deferred},
	} {
		synctest.Test(t, func(t *testing.T) {
			tr := &Transport{Hostname: "relay.example", DialContext: slowHost{tt.reply, tt.perSecond}.dial, Timeouts: Timeouts{DataBlock: time.Hour}}
			defer tr.Close()
			var rcpts []string
			for i := range 50 {
				rcpts = append(rcpts, fmt.Sprintf("b%d@example.net", i))
			}
			began := time.Now()
			rs := tr.Send(t.Context(), to("192.0.2.1:25"), mail(strings.Repeat("x\r\n", tt.size/3+1), rcpts...))
			if took := time.Since(began); rs[49].Outcome != tt.want || took > tt.most {
				t.Errorf("%+v: %v after %v", tt, rs[49], took)
			}
			tr.Close()
			time.Sleep(time.Hour) // until the host has noticed
		})
	}
}

// A TLS handshake that the end of the attempt cuts off is no reason to try plain
// text, and the host does not count as down.
func TestAttemptTimeTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:25", offerTo("C: STARTTLS\nS: 220 go\nS: <freeze>"))
		tr := n.transport()
		tr.AttemptTime = 10 * time.Second
		expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net")), "unreachable 451 4.7.5 ...")
		if len(tr.down.failed) > 0 || len(n.dialled) != 1 {
			t.Errorf("down: %v, dialled %v", tr.down.failed, n.dialled)
		}
	})
}
