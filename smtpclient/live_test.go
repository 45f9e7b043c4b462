package smtpclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"
)

// sending is a Send that has not returned.
func sending(t *testing.T, tr *Transport, dst *Destination, m *Message) (results func() []Result) {
	done := make(chan []Result, 1)
	go func() { done <- tr.Send(t.Context(), dst, m) }()
	synctest.Wait()
	return func() []Result { return <-done }
}

// alone returns a destination with one address, which shares no sessions.
func alone(addr string) *Destination {
	dst := to(addr)
	dst.Name = addr
	return dst
}

// Each state of a session is shown. If the operator ends the session before the
// end of data, the message is tried with the next host.
func TestEndSession(t *testing.T) {
	const greeting = "S: 220 mx\nC: EHLO relay.example\n"
	for _, tt := range []struct{ state, script string }{
		{"connect", "S: <hang>"},
		{"helo", greeting + "S: <hang>"},
		{"tls", offer[:strings.Index(offer, "S: <tls>")] + "C: <nodot>"},
		{"auth", login("PLAIN") + "C: <any>\nS: <hang>"},
		{"mail", login("PLAIN") + "C: <any>\nS: 235 ok\n" + batch + "S: <hang>"},
		{"rcpt", login("PLAIN") + "C: <any>\nS: 235 ok\n" + batch + "S: 250 ok\nS: <hang>"},
		{"data", login("PLAIN") + "C: <any>\nS: 235 ok\n" + batch + "S: 250 ok\nS: 250 ok\nS: <hang>"},
		{"data", login("PLAIN") + "C: <any>\nS: 235 ok\n" + batch + "S: 250 ok\nS: 250 ok\nS: 354 go\nS: <freeze>"},
	} {
		t.Run(tt.state, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				n.host("192.0.2.1:25", tt.script)
				n.host("192.0.2.2:25", login("PLAIN")+"C: <any>\nS: 235 ok\n"+one+quit)
				tr := n.transport()
				tr.Name, tr.Auth, tr.AllowInsecureAuth, tr.TLS.Level = "internet", PasswordAuth("alice", "wonderland"), true, TLSOpportunistic
				m := mail("x\r\n", "b@example.net")
				m.ID = "m1"
				began := time.Now()
				results := sending(t, tr, to("192.0.2.1:25", "192.0.2.2:25"), m)
				all := tr.Sessions()
				if len(all) != 1 {
					t.Fatalf("%d sessions", len(all))
				}
				i := all[0]
				if i.State != tt.state || i.Connector != "internet" || i.Name != "mx1.example.net" || !i.Started.Equal(began) || i.ID == "" {
					t.Errorf("%+v", i)
				}
				if in := i.MessageID == "m1" && i.From == "a@example.com" && i.Identity == "alice"; in != (tt.state == "mail" || tt.state == "rcpt" || tt.state == "data") {
					t.Errorf("%+v", i)
				}
				if !tr.EndSession(i.ID) {
					t.Error("no such session")
				}
				expect(t, results(), "success 250 2.0.0 queued [mx2.example.net]")
				if n := len(n.content); n != 1 {
					t.Errorf("the message was sent %d times", n)
				}
				if d := tr.down.last(time.Now(), downKey{addr: "192.0.2.1:25"}); !d.at.IsZero() {
					t.Error("the host counts as down")
				}
			})
		})
	}
}

// If there is no other host, the message is deferred, and the reason is plain.
func TestEndSessionDefers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:25", ehlo+batch+"S: <hang>")
		tr := n.transport()
		results := sending(t, tr, to("192.0.2.1:25"), mail("x\r\n", "b@example.net"))
		tr.EndSession(tr.Sessions()[0].ID)
		rs := results()
		expect(t, rs, "deferred 451 4.4.2 session with mx1.example.net failed: ...")
		if !errors.Is(rs[0].Err, errEnded) {
			t.Errorf("error %v", rs[0].Err)
		}
	})
}

// Promise 3: after the end of data the host may have the message, so the reply is
// awaited, and no other host gets the message.
func TestEndSessionAfterEndOfData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:25", ehlo+all+"S: <pause>\nS: 250 2.0.0 queued"+quit)
		tr := n.transport()
		results := sending(t, tr, to("192.0.2.1:25", "192.0.2.2:25"), mail("x\r\n", "b@example.net"))
		i := tr.Sessions()[0]
		if i.State != "end of data" || i.Recipients != 1 || !tr.EndSession(i.ID) {
			t.Errorf("%+v", i)
		}
		time.Sleep(30 * time.Second)
		if len(tr.Sessions()) != 1 {
			t.Error("the session did not wait for the reply")
		}
		expect(t, results(), queued)
		synctest.Wait()
		if n := len(tr.Sessions()); n != 0 {
			t.Errorf("%d sessions after the reply", n)
		}
	})
}

// With LMTP, all recipients get their replies.
func TestEndSessionLMTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:25", strings.ReplaceAll(ehlo, "EHLO", "LHLO")+
			"C: MAIL FROM:<a@example.com>\nC: RCPT TO:<b@example.net>\nC: RCPT TO:<c@example.net>\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 250 ok\nS: 354 go\nC: <content>\n"+
			"S: 250 2.0.0 queued\nS: <pause>\nS: 250 2.0.0 queued"+quit)
		tr := n.transport()
		tr.LMTP = true
		results := sending(t, tr, to("192.0.2.1:25"), mail("x\r\n", "b@example.net", "c@example.net"))
		tr.EndSession(tr.Sessions()[0].ID)
		expect(t, results(), queued+"\n"+queued)
	})
}

// An idle session ends with QUIT.
func TestEndIdleSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:25", ehlo+one+quit, ehlo+one+quit)
		tr := n.transport()
		for i := range 2 {
			expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net")), queued)
			s := tr.Sessions()[0]
			if s.State != "idle" || s.Messages != 1 || s.MessageID != "" || s.BytesIn < 50 || s.BytesOut < 50 {
				t.Errorf("%+v", s)
			}
			if i == 0 && !tr.EndSession(s.ID) || tr.EndSession("none") {
				t.Error("EndSession")
			}
		}
	})
}

// EndSession at any moment, again and again: each message that the host has
// accepted is reported as sent, and no message is accepted twice.
func TestEndSessionConcurrently(t *testing.T) {
	host := &counting{accepted: make(map[string]int)}
	srv := smtp.NewServer(host)
	srv.Domain, srv.ErrorLog = "sink", log.New(io.Discard, "", 0)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	defer func() { srv.Close(); <-served }()
	dst := &Destination{Name: "sink", Hosts: HostList(Host{Name: "sink", Addrs: []netip.AddrPort{netip.MustParseAddrPort(l.Addr().String())}})}
	tr := &Transport{Hostname: "relay.example", MaxWait: time.Minute}
	defer tr.Close()
	stop, stopped := make(chan bool), make(chan bool)
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, s := range tr.Sessions() {
				tr.EndSession(s.ID)
			}
		}
	}()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 50 {
				name := fmt.Sprintf("m%d.%d", g, i)
				sent := 0
				for range 1000 { // as a queue does
					r := tr.Send(t.Context(), dst, mail("Subject: "+name+"\r\n\r\nx\r\n", "b@example.net"))
					if r[0].Outcome == Success {
						sent++
						break
					}
				}
				if n := host.count(name); n != sent {
					t.Errorf("%s: accepted %d times, sent %d times", name, n, sent)
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	<-stopped
	if c := tr.Counters(); c.Messages == 0 || c.Messages > 200 {
		t.Errorf("%d messages", c.Messages)
	}
}

// counting counts the messages that it accepts by subject.
type counting struct {
	mu       sync.Mutex
	accepted map[string]int
}

func (c *counting) count(subject string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.accepted[subject]
}

func (c *counting) NewSession(*smtp.Conn) (smtp.Session, error) { return countingSession{c}, nil }

type countingSession struct{ *counting }

func (countingSession) Mail(string, *smtp.MailOptions) error { return nil }
func (countingSession) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (countingSession) Reset()                               {}
func (countingSession) Logout() error                        { return nil }

func (c countingSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	subject, _, _ := strings.Cut(strings.TrimPrefix(string(b), "Subject: "), "\r\n")
	c.mu.Lock()
	defer c.mu.Unlock()
	c.accepted[subject]++
	return nil
}

// watch returns what a watcher of a Transport gets.
func watch(t *testing.T, tr *Transport, f WatchFilter) (end func() eventLog) {
	ctx, cancel := context.WithCancel(t.Context())
	lines, err := tr.Watch(ctx, f)
	if err != nil {
		t.Fatal(err)
	}
	var got eventLog
	closed := make(chan bool)
	go func() {
		for e := range lines {
			got = append(got, e)
		}
		close(closed)
	}()
	return func() eventLog {
		synctest.Wait()
		cancel()
		<-closed
		return got
	}
}

// A watcher also sees connections that fail.
func TestWatchFailedConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newNetwork(t).transport()
		end := watch(t, tr, WatchFilter{Client: netip.MustParsePrefix("192.0.2.0/24")})
		for _, addr := range []string{"192.0.2.9:25", "198.51.100.1:25"} {
			tr.Send(t.Context(), alone(addr), mail("x\r\n", "b@example.net"))
		}
		got := end()
		if len(got) != 1 || !strings.HasPrefix(got[0].Context, "Failed to connect: ") || got[0].Remote != "192.0.2.9:25" {
			t.Errorf("%+v", got)
		}
	})
}

// A watcher sees what the protocol log has, from the first line.
func TestWatch(t *testing.T) {
	for _, logged := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			n.host("192.0.2.1:25", login("PLAIN")+"C: <any>\nS: 235 ok\n"+one+quit)
			tr := n.transport()
			tr.Name, tr.Auth, tr.AllowInsecureAuth = "internet", PasswordAuth("alice", "wonderland"), true
			var log eventLog
			if logged {
				tr.ProtocolLog = &log
			}
			end := watch(t, tr, WatchFilter{Connector: "internet"})
			expect(t, tr.Send(t.Context(), to("192.0.2.1:25"), mail("secret\r\n", "b@example.net")), queued)
			tr.Close()
			got := end()
			if logged && fmt.Sprint(got) != fmt.Sprint(log) {
				t.Errorf("watched\n%v\nlogged\n%v", got, log)
			}
			text := fmt.Sprint(got)
			if len(got) < 15 || got[0].Kind != '+' || got[len(got)-1].Kind != '-' || strings.Contains(text, "wonderland") || strings.Contains(text, b64("\x00alice\x00wonderland")) || strings.Contains(text, "secret") {
				t.Errorf("watched %v", got)
			}
		})
	}
}
