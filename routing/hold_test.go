package routing

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// branches returns a Router that holds mail for branch offices.
func branches(t *testing.T) *Router {
	t.Helper()
	return &Router{Hostname: "relay.test", Table: table(t,
		Connector{Name: "branch", Spaces: []string{"*.branch.example"}, Hold: true, HoldAccounts: []string{"branch"},
			Transport: SMTP(&smtpclient.Transport{DialContext: refuse})},
		Connector{Name: "open", Spaces: []string{"open.example"}, Hold: true, SmartHosts: SmartHosts("[10.0.0.1]"),
			Transport: SMTP(&smtpclient.Transport{DialContext: refuse})},
		Connector{Name: "other", Spaces: []string{"*"}, Transport: &postman{name: "other"}})}
}

func refuse(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("no host")
}

func TestHeldMailWaitsForARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := branches(t)
		m, rcpt := letter("x"), queue.Rcpt("a@north.branch.example")
		hop, err := r.Route(t.Context(), m, rcpt[0])
		if err != nil || hop != (queue.NextHop{Connector: "branch", Destination: "north.branch.example"}) {
			t.Fatalf("%v, %v", hop, err)
		}
		south := queue.NextHop{Connector: "branch", Destination: "south.branch.example"}
		if p := r.Pace(hop); !p.Held || !p.Until.IsZero() {
			t.Errorf("%+v", p)
		}
		// If the queue calls Deliver nevertheless, the mail is not sent: not to
		// the hosts in the DNS, and not by the next connector.
		if got := verdicts(r.Deliver(t.Context(), hop, m, rcpt)); got != "3 451 4.3.2 Held until the receiver requests it" {
			t.Error(got)
		}
		for _, other := range []queue.NextHop{{Destination: "north.branch.example"}, {Connector: "gone"}} {
			if got := verdicts(r.Deliver(t.Context(), other, m, rcpt)); !strings.HasPrefix(got, "3 451 4.3.2") {
				t.Errorf("by way of %v: %s", other, got)
			}
		}
		if got := r.ETRN(t.Context(), "branch", "north.branch.example"); got.Code != 250 {
			t.Errorf("%v", got)
		}
		if r.Pace(hop).Held || !r.Pace(south).Held {
			t.Error("ETRN for north: north is held, or south is not")
		}
		time.Sleep(releaseTime)
		if !r.Pace(hop).Held {
			t.Error("the release does not end")
		}
		r.ETRN(t.Context(), "branch", "@branch.example")
		if r.Pace(hop).Held || r.Pace(south).Held {
			t.Error("ETRN @branch.example does not release what is below")
		}
	})
}

// Each connector can have its own delay notice and lifetime.
func TestConnectorsHaveTheirOwnTimes(t *testing.T) {
	r := &Router{Hostname: "relay.test", Table: table(t,
		Connector{Name: "local", Spaces: []string{"example.com"}, Retry: []time.Duration{time.Minute}, Notice: time.Hour, Expire: 24 * time.Hour},
		Connector{Name: "outbound", Spaces: []string{"*"}, Notice: -1})}
	if p := r.Pace(queue.NextHop{Connector: "local"}); len(p.Retry) != 1 || p.DelayNotice != time.Hour || p.Expiry != 24*time.Hour {
		t.Errorf("local: %+v", p)
	}
	if p := r.Pace(queue.NextHop{Connector: "outbound"}); p.Retry != nil || p.DelayNotice != -1 || p.Expiry != 0 {
		t.Errorf("outbound: %+v", p)
	}
}

func TestETRNReplies(t *testing.T) {
	for _, c := range []struct {
		identity, node string
		waiting        int
		err            error
		want           string
	}{
		{"branch", "north.branch.example", 3, nil, "253 2.0.0 OK, 3 pending messages for node north.branch.example started"},
		{"branch", "north.branch.example", 0, nil, "251 2.0.0 OK, no messages waiting for node north.branch.example"},
		{"branch", "North.Branch.Example", -1, nil, "250 2.0.0 OK, queuing for node North.Branch.Example started"},
		{"branch", "north.branch.example", 0, errors.New("frozen"), "458 4.3.0 Unable to queue messages for node north.branch.example"},
		{"branch", "#branch", -1, nil, "250 2.0.0 OK, queuing for node #branch started"},
		{"Branch", "#branch", -1, nil, "250 2.0.0 OK, queuing for node #branch started"},
		{"", "open.example", -1, nil, "250 2.0.0 OK, queuing for node open.example started"},
		{"", "#open", -1, nil, "459 4.7.1 Node #open not allowed: no held mail that you may request"},
		{"", "north.branch.example", -1, nil, "459 4.7.1 Node north.branch.example not allowed: no held mail that you may request"},
		{"stranger", "north.branch.example", -1, nil, "459 4.7.1 Node north.branch.example not allowed: no held mail that you may request"},
		{"branch", "example.net", -1, nil, "459 4.7.1 Node example.net not allowed: no held mail that you may request"},
		{"branch", "#nowhere", -1, nil, "459 4.7.1 Node #nowhere not allowed: no held mail that you may request"},
		{"branch", "", -1, nil, `501 5.5.4 "" is not a host name`},
		{"branch", "a b", -1, nil, `501 5.5.4 "a b" is not a host name`},
		{"branch", "#x\r\n250 ok", -1, nil, `459 4.7.1 Node #x\r\n250 ok not allowed: no held mail that you may request`},
	} {
		r := branches(t)
		r.Wake = func(_ context.Context, match func(queue.NextHop) bool) (int, error) {
			if match(queue.NextHop{Connector: "other", Destination: "other"}) {
				t.Error("the wrong hop matches")
			}
			return c.waiting, c.err
		}
		got := r.ETRN(t.Context(), c.identity, c.node)
		if text := code(&got) + " " + got.Message; text != c.want {
			t.Errorf("%s %q: %s\nwant %s", c.identity, c.node, text, c.want)
		}
	}
}

func TestATRNNeedsHoldAccounts(t *testing.T) {
	r := branches(t)
	for _, c := range []struct {
		identity, domains string
		want              int
	}{
		{"", "north.branch.example", 530}, {"stranger", "north.branch.example", 450}, {"stranger", "", 450},
		{"branch", "open.example", 450}, // no account may take that one
		{"branch", "north.branch.example,open.example", 450},
		{"branch", "example.net", 450}, {"branch", "a b", 501},
		{"branch", "north.branch.example,south.branch.example", 250}, {"branch", "", 250},
	} {
		got, turn := r.ATRN(c.identity, c.domains)
		if got.Code != c.want || (turn != nil) != (c.want == 250) {
			t.Errorf("%q %q: %v, want %d", c.identity, c.domains, got, c.want)
		}
	}
	if len(r.releases.all) > 0 {
		t.Error("mail was released before the connection turned")
	}
}

// Mail whose host is not in the DNS does not fail after ETRN.
func TestETRNForMailWithoutAHost(t *testing.T) {
	n := newInternet(t, internetZone)
	n.dns.Add("null.branch.example. MX 0 .\nmine.branch.example. MX 0 relay.test.")
	r := n.router(t, Connector{Name: "branch", Spaces: []string{"*.branch.example"}, Hold: true})
	for _, domain := range []string{"null.branch.example", "mine.branch.example", "nowhere.branch.example"} {
		r.ETRN(t.Context(), "", domain)
		if got := send(t, r, "a@"+domain)[0]; got.Outcome != queue.Deferred || got.Reply.Code != 451 {
			t.Errorf("%s: %+v", domain, got)
		}
	}
}

func TestReleasesAreBounded(t *testing.T) {
	r := branches(t)
	for i := range maxReleases + 10 {
		r.ETRN(t.Context(), "branch", fmt.Sprintf("n%d.branch.example", i))
	}
	if n := len(r.releases.all); n != maxReleases {
		t.Errorf("%d releases", n)
	}
	if !r.Pace(queue.NextHop{Connector: "branch", Destination: "n0.branch.example"}).Held {
		t.Error("the oldest is not the one that was forgotten")
	}
}

// waiting is a queue that holds messages for one hop and delivers them all
// when it is woken.
type waiting struct {
	r        *Router
	hop      queue.NextHop
	messages []*queue.Message
	wg       sync.WaitGroup
	mu       sync.Mutex
	results  []queue.Result
}

func (w *waiting) wake(ctx context.Context, match func(queue.NextHop) bool) (int, error) {
	if !match(w.hop) {
		return 0, nil
	}
	messages := w.messages
	w.messages = nil
	for _, m := range messages {
		w.wg.Go(func() {
			results := w.r.Deliver(context.WithoutCancel(ctx), w.hop, m, m.Recipients)
			w.mu.Lock()
			defer w.mu.Unlock()
			w.results = append(w.results, results...)
		})
	}
	return len(messages), nil
}

// provider runs a server that supports EHLO and ATRN. It reverses one
// connection.
func provider(t *testing.T, r *Router, identity string) (addr string, done func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		defer l.Close()
		conn, err := l.Accept()
		if err != nil {
			ended <- err
			return
		}
		defer conn.Close()
		ended <- provide(conn, r, identity)
	}()
	return l.Addr().String(), func() error { return <-ended }
}

func provide(conn net.Conn, r *Router, identity string) error {
	in := textproto.NewReader(bufio.NewReaderSize(conn, 1))
	fmt.Fprintf(conn, "220 provider.test\r\n")
	for {
		line, err := in.ReadLine()
		if err != nil {
			return err
		}
		verb, arg, _ := strings.Cut(line, " ")
		switch verb {
		case "EHLO":
			fmt.Fprintf(conn, "250 provider.test\r\n")
		case "QUIT":
			fmt.Fprintf(conn, "221 bye\r\n")
			return nil
		case "ETRN":
			answer := r.ETRN(context.Background(), identity, arg)
			fmt.Fprintf(conn, "%s %s\r\n", code(&answer), answer.Message)
		case "ATRN":
			answer, turn := r.ATRN(identity, arg)
			fmt.Fprintf(conn, "%s %s\r\n", code(&answer), answer.Message)
			if turn != nil {
				return turn.Serve(context.Background(), conn)
			}
		default:
			fmt.Fprintf(conn, "502 5.5.1 what?\r\n")
		}
	}
}

// box is a mail server behind a reversed connection.
func box(t *testing.T) (*mailHost, func(net.Listener) error) {
	h := &mailHost{}
	srv := smtp.NewServer(h)
	srv.Domain = "branch.test"
	srv.ErrorLog = log.New(io.Discard, "", 0) // clients that leave without QUIT are no news
	t.Cleanup(func() { srv.Close() })
	return h, srv.Serve
}

func TestATRNReversesTheConnection(t *testing.T) {
	r := branches(t)
	w := &waiting{r: r, hop: queue.NextHop{Connector: "branch", Destination: "north.branch.example"}}
	for i := range 5 {
		m := letter("Subject: x\r\n\r\nhello\r\n")
		m.Recipients = queue.Rcpt(fmt.Sprintf("u%d@north.branch.example", i), "unknown@north.branch.example")
		w.messages = append(w.messages, m)
	}
	r.Wake = w.wake
	addr, done := provider(t, r, "branch")
	got, serve := box(t)
	f := &Fetcher{Transport: &smtpclient.Transport{Hostname: "branch.test"}, Provider: SmartHost{Host: "[127.0.0.1]" + addr[strings.LastIndex(addr, ":"):]},
		Method: FetchATRN, Domains: []string{"north.branch.example"}, Serve: serve}
	if err := f.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := done(); err != nil {
		t.Errorf("the provider: %v", err)
	}
	w.wg.Wait()
	if n := len(strings.Fields(got.received())); n != 5 {
		t.Errorf("%d messages came: %s", n, got.received())
	}
	counts := map[queue.Outcome]int{}
	for _, result := range w.results {
		counts[result.Outcome]++
	}
	if counts[queue.Success] != 5 || counts[queue.Failure] != 5 {
		t.Errorf("outcomes %v", counts)
	}
	if !r.Pace(w.hop).Held {
		t.Error("the turn has not ended")
	}
}

// If the connection breaks during a message, the mail that was not sent waits.
func TestBrokenReverseSession(t *testing.T) {
	r := branches(t)
	w := &waiting{r: r, hop: queue.NextHop{Connector: "branch", Destination: "north.branch.example"}}
	for range 3 {
		m := letter("x\r\n")
		m.Recipients = queue.Rcpt("a@north.branch.example")
		w.messages = append(w.messages, m)
	}
	r.Wake = w.wake
	_, turn := r.ATRN("branch", "")
	ours, theirs := net.Pipe()
	go func() {
		in := bufio.NewReader(theirs)
		fmt.Fprintf(theirs, "220 branch.test\r\n")
		in.ReadString('\n')
		fmt.Fprintf(theirs, "250 branch.test\r\n")
		in.ReadString('\n') // MAIL
		theirs.Close()
	}()
	turn.Serve(t.Context(), ours)
	w.wg.Wait()
	for _, result := range w.results {
		if result.Outcome != queue.Unreachable && result.Outcome != queue.Deferred {
			t.Errorf("%+v", result)
		}
	}
	if len(w.results) != 3 {
		t.Errorf("%d results", len(w.results))
	}
}

// If the queue announces a message that does not come, the session ends.
func TestReverseSessionDoesNotWaitForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := branches(t)
		r.Wake = func(context.Context, func(queue.NextHop) bool) (int, error) { return 1, nil }
		_, turn := r.ATRN("branch", "")
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			in := textproto.NewReader(bufio.NewReader(theirs))
			fmt.Fprintf(theirs, "220 branch.test\r\n")
			in.ReadLine()
			fmt.Fprintf(theirs, "250 branch.test\r\n")
			if line, _ := in.ReadLine(); line != "QUIT" {
				t.Errorf("%q instead of QUIT", line)
			}
			fmt.Fprintf(theirs, "221 bye\r\n")
		}()
		began := time.Now()
		if err := turn.Serve(t.Context(), ours); err != nil || time.Since(began) != reverseIdle { // and not once more, since nothing came
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// The context ends while a message is being sent.
func TestReverseSessionIsCanceled(t *testing.T) {
	r := branches(t)
	w := &waiting{r: r, hop: queue.NextHop{Connector: "branch", Destination: "north.branch.example"}}
	for range 2 {
		m := letter("x\r\n")
		m.Recipients = queue.Rcpt("a@north.branch.example")
		w.messages = append(w.messages, m)
	}
	r.Wake = w.wake
	_, turn := r.ATRN("branch", "")
	ours, theirs := net.Pipe()
	defer theirs.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		in := bufio.NewReader(theirs)
		fmt.Fprintf(theirs, "220 branch.test\r\n")
		in.ReadString('\n')
		fmt.Fprintf(theirs, "250 branch.test\r\n")
		in.ReadString('\n') // MAIL, never answered
		cancel()
	}()
	if err := turn.Serve(ctx, ours); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	w.wg.Wait()
	for _, result := range w.results {
		if result.Outcome != queue.Unreachable && result.Outcome != queue.Deferred {
			t.Errorf("%+v", result)
		}
	}
	if len(w.results) != 2 || !r.Pace(w.hop).Held {
		t.Errorf("%d results", len(w.results))
	}
}
