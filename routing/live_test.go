package routing

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// sink is a network with hosts that accept all mail. It must be used in a bubble.
func sink(t *testing.T) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			var room [4096]byte
			say := func(s string) { server.Write([]byte(s + "\r\n")) }
			say("220 sink")
			for data := false; ; {
				n, err := server.Read(room[:])
				if err != nil {
					return
				}
				switch line := string(room[:n]); {
				case data && strings.HasSuffix(line, ".\r\n"):
					data = false
					say("250 2.0.0 queued")
				case data:
				case strings.HasPrefix(line, "DATA"):
					data = true
					say("354 go")
				case strings.HasPrefix(line, "QUIT"):
					return
				default:
					say("250 2.1.0 ok")
				}
			}
		}()
		return client, nil
	}
}

// The Router shows the sessions of all its transports: of the connectors, its
// own, and those of a table that was replaced, as long as they have sessions. Its
// counters never go back.
func TestSessionsOfAllTransports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial := sink(t)
		newTransport := func(name string) *smtpclient.Transport {
			return &smtpclient.Transport{Name: name, Hostname: "relay.example", DialContext: dial}
		}
		given := newTransport("given")
		defer given.Close()
		connector := func(name string, tr Transport) Connector {
			host := SmartHost{Host: "192.0.2.1"}
			return Connector{Name: name, Spaces: []string{name + ".example"}, SmartHosts: []SmartHost{host}, Transport: tr}
		}
		one := table(t, connector("given", SMTP(given)), connector("own", nil))
		two := table(t, connector("later", nil))
		r := &Router{Table: one, NewTransport: newTransport}
		defer r.Close()
		send := func(names ...string) {
			t.Helper()
			for _, name := range names {
				got := r.Deliver(t.Context(), queue.NextHop{Connector: name, Destination: name}, letter("x\r\n"), queue.Rcpt("b@"+name+".example"))
				if got[0].Outcome != queue.Success {
					t.Fatalf("%s: %+v", name, got)
				}
			}
		}
		check := func(want string, messages int64) {
			t.Helper()
			synctest.Wait()
			var names []string
			for _, i := range r.Sessions() {
				names = append(names, i.Connector)
			}
			if got := strings.Join(names, " "); got != want {
				t.Errorf("sessions of %q, want %q", got, want)
			}
			if c := r.Counters(); c.Messages != messages || c.Connections != int64(len(names)) || c.Connects["ok"] != c.Sessions {
				t.Errorf("counters %+v, want %d messages", c, messages)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		lines, err := r.Watch(ctx, WatchFilter{Connector: "later"})
		if err != nil {
			t.Fatal(err)
		}
		check("", 0)
		send("given", "own")
		check("given own", 2)
		r.SetTable(two) // closes the transport of "own", but "given" is not the Router's
		send("later")
		check("given later", 3)
		if e := <-lines; e.Kind != '+' || e.Connector != "later" {
			t.Errorf("watched %+v", e)
		}
		cancel()
		for range lines {
		}
		r.SetTable(two)
		check("given later", 3)
		if !r.EndSession(r.Sessions()[0].ID) || r.EndSession("none") {
			t.Error("EndSession")
		}
		check("later", 3)
		r.SetTable(two) // forgets given
		check("later", 3)
		if n := len(r.live.transports); n != 1 {
			t.Errorf("%d transports are known", n)
		}
		r.SetTable(one) // given is back, and its earlier messages count once
		send("given")
		check("given", 4)
	})
}

// A watch and a list work before the first message.
func TestLiveSessionsOfNewRouter(t *testing.T) {
	r := &Router{Table: table(t, Connector{Name: "a", Spaces: []string{"*"}})}
	if s := r.Sessions(); len(s) != 0 || r.EndSession("x") {
		t.Errorf("%v", s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	lines, err := r.Watch(ctx, WatchFilter{Client: netip.MustParsePrefix("192.0.2.0/24")})
	if err != nil {
		t.Fatal(err)
	}
	r.KeepDialogue(1000)
	if lines, err := r.Dialogue("none"); err != smtpclient.ErrNoSession {
		t.Errorf("%v, %v", lines, err)
	}
	cancel()
	for range lines {
	}
}
