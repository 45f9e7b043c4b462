package console

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// withSlowHost runs f with a relay whose mail goes to a host that answers RCPT only
// after release was called.
func withSlowHost(t *testing.T, c *Console, f func(w *world, release func())) {
	t.Helper()
	var release func()
	var closers []func()
	inWorldOf(t, c, func() queue.Deliverer {
		wait := make(chan struct{})
		release = func() { close(wait) }
		socket := smtptest.NewListener()
		host := &smtpserver.Server{Hostname: "mx.example.net", Handler: smtptest.NewInbox(), Agents: []smtpserver.Agent{{
			Name: "slow",
			Rcpt: func(ctx context.Context, _ *smtpserver.Session, _ string, _ *smtp.RcptOptions) error {
				select {
				case <-wait:
				case <-ctx.Done():
				}
				return nil
			},
		}}}
		served := make(chan error, 1)
		go func() { served <- host.Serve(socket) }()
		table, err := routing.NewTable(routing.Connector{Name: "internet", Spaces: []string{"*"}, SmartHosts: routing.SmartHosts("[192.0.2.25]")})
		if err != nil {
			t.Fatal(err)
		}
		router := &routing.Router{Table: table, NewTransport: func(string) *smtpclient.Transport {
			return &smtpclient.Transport{DialContext: func(_ context.Context, _, addr string) (net.Conn, error) {
				conn, err := socket.Dial("198.51.100.9:1025")
				return &connTo{conn, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr))}, err
			}}
		}}
		closers = append(closers, func() {
			router.Close()
			socket.Close()
			host.Close()
			<-served
		})
		return router
	}, func(w *world) {
		defer closers[0]()
		f(w, release)
	})
}

// connTo is a connection to an address.
type connTo struct {
	net.Conn
	remote net.Addr
}

func (c *connTo) RemoteAddr() net.Addr { return c.remote }

// The page Sessions has the sessions of both sides, as they are now.
func TestSessions(t *testing.T) {
	withSlowHost(t, &Console{}, func(w *world, release func()) {
		defer release()
		client := smtptest.TalkOn(t, w.dial("192.0.2.7:1025"), "S: 220\nC: EHLO client.example\nS: 250\nC: MAIL FROM:<alice@example.com>\nS: 250\nC: RCPT TO:<bob@example.com>\nS: 250\n")
		defer client.Close()
		time.Sleep(time.Minute)
		m := w.submit(mail("bob@example.net", "carol@example.net"))
		var v sessionsView
		w.get("/sessions", &v)
		if len(v.Sessions) != 2 || v.In != 1 || v.Out != 1 || !v.Outbound || v.Next != "" {
			t.Fatalf("%+v", v)
		}
		in, out := v.Sessions[0], v.Sessions[1]
		if in.Side != "in" || in.Connector != "receive" || in.Name != "client.example" || in.Remote != "192.0.2.7:1025" || in.State != "rcpt" || in.Sender != "alice@example.com" ||
			in.Recipients != 1 || in.Messages != 1 || in.BytesIn == 0 || in.BytesOut == 0 || in.MessageID == "" || in.TLS != "" || time.Since(in.StateSince) < time.Minute {
			t.Errorf("inbound: %+v", in)
		}
		if out.Side != "out" || out.Connector != "internet" || out.Name != "[192.0.2.25]" || out.Remote != "192.0.2.25:25" || out.State != "mail" || out.MessageID != m.ID || out.Sender != "alice@example.com" || out.ID == "" {
			t.Errorf("outbound: %+v", out)
		}
		page := w.page("/sessions", 200)
		for _, part := range []string{"1 inbound, 1 outbound", "client.example", "192.0.2.7:1025", "rcpt <span", "for 1 min", "alice@example.com", "tracking/" + m.ID, "sessions/dialogue?id=" + url.QueryEscape(in.ID) + "&amp;side=in"} {
			if !strings.Contains(page, part) {
				t.Errorf("the page has no %q", part)
			}
		}
		for query, want := range map[string]string{
			"side=in": in.ID, "side=out": out.ID, "connector=receive": in.ID, "connector=internet": out.ID, "connector=none": "", "state=rcpt": in.ID, "state=mail": out.ID, "state=data": "",
			"address=192.0.2.7": in.ID, "address=192.0.2.0/24": in.ID + out.ID, "address=192.0.2.1/29": in.ID, "address=::/0": "", "address=::ffff:192.0.2.7": in.ID, "side=in&state=quit": "",
		} {
			var v sessionsView
			w.get("/sessions?"+query, &v)
			got := ""
			for _, s := range v.Sessions {
				got += s.ID
			}
			if got != want {
				t.Errorf("%s: %q, want %q", query, got, want)
			}
		}
		for _, query := range []string{"side=up", "address=x", "address=192.0.2.0/33", "state=x", "limit=1001", "limit=-1", "after=x", "after=1.in.", "peer=x"} {
			w.page("/sessions?"+query, 400)
		}
	})
}

// A session that ended does not lose the place of the next page.
func TestSessionsInPages(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		var clients []net.Conn
		for i := range 5 {
			clients = append(clients, smtptest.TalkOn(t, w.dial(fmt.Sprintf("192.0.2.%d:1025", i)), "S: 220\n"))
			time.Sleep(time.Second)
		}
		got, after := "", ""
		for range 3 {
			var v sessionsView
			w.get("/sessions?limit=2&after="+url.QueryEscape(after), &v)
			for _, s := range v.Sessions {
				got += s.Remote[len("192.0.2."):len("192.0.2.1")]
			}
			if v.In != 5-len(got)/4 || v.Outbound {
				t.Errorf("%+v", v)
			}
			after = v.Next
			if len(got) == 2 { // the last of the first page
				clients[1].Close()
				synctest.Wait()
			}
		}
		if got != "01234" || after != "" {
			t.Errorf("%s, then %q", got, after)
		}
		if page := w.page("/sessions?limit=2", 200); !strings.Contains(page, "Next page") || !strings.Contains(page, "outbound sessions cannot be listed") {
			t.Error(page)
		}
		for _, c := range clients {
			c.Close()
		}
	})
}

// An operator ends sessions of both sides. The audit log records it.
func TestEndSession(t *testing.T) {
	withSlowHost(t, &Console{}, func(w *world, release func()) {
		defer release()
		client := w.dial("192.0.2.7:1025")
		defer client.Close()
		smtptest.TalkOn(t, client, "S: 220\nC: EHLO client.example\nS: 250\n")
		m := w.submit(mail("bob@example.net"))
		var v sessionsView
		w.get("/sessions", &v)
		in, out := v.Sessions[0], v.Sessions[1]
		var o outcome
		w.post("/sessions/end", 200, form("side", "in", "id", in.ID), &o)
		if o.Done || o.Count != 1 || o.Action != "End the session with client.example (192.0.2.7:1025)" {
			t.Errorf("%+v", o)
		}
		w.post("/sessions/end", 400, form("side", "in", "id", in.ID, "confirm", "yes"), nil) // no reason
		ended := make(chan bool)
		go func() {
			smtptest.TalkOn(t, client, "S: 421\n")
			close(ended)
		}()
		w.post("/sessions/end", 200, form("side", "in", "id", in.ID, "confirm", "yes", "reason", "it is a loop"), &o)
		<-ended
		if !o.Done || o.Count != 1 {
			t.Errorf("%+v", o)
		}
		w.post("/sessions/end", 200, form("side", "out", "id", out.ID, "confirm", "yes", "reason", "the host hangs"), &o)
		if got, err := w.queue.Message(t.Context(), m.ID); err != nil || got.Status != queue.MessageRetry {
			t.Errorf("%+v, %v", got, err)
		}
		w.get("/sessions", &v)
		if len(v.Sessions) != 0 {
			t.Errorf("%+v", v)
		}
		var log auditView
		w.get("/audit", &log)
		if e := log.Entries; len(e) != 2 || e[1].Reason != "it is a loop" || e[1].Result != "done" || e[1].Parameters["id"][0] != in.ID || e[0].Reason != "the host hangs" || e[0].Parameters["side"][0] != "out" {
			t.Errorf("%+v", log)
		}
		for status, f := range map[int][]url.Values{
			404: {form("side", "in", "id", in.ID), form("side", "in", "id", out.ID), form("side", "out", "id", "none")},
			400: {form("side", "up", "id", in.ID), form("id", in.ID), form("side", "in"), form("side", "in", "id", "a", "state", "b")},
		} {
			for _, one := range f {
				w.post("/sessions/end", status, one, nil)
			}
		}
	})
}
