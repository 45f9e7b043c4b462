package routing_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// heldMail is an agent that passes ETRN and ATRN to a router.
func heldMail(router *routing.Router) smtpserver.Agent {
	keywords := func(s *smtpserver.Session) []string {
		if s.Identity() == "" {
			return []string{"ETRN"}
		}
		return []string{"ETRN", "ATRN"} // RFC 2645, 5: for those who have authenticated
	}
	return smtpserver.Agent{Name: "held mail", Keywords: keywords, Command: func(ctx context.Context, s *smtpserver.Session, verb, arg string) (*smtpserver.Reply, error) {
		switch verb {
		case "ETRN":
			r := router.ETRN(ctx, s.Identity(), arg)
			return &smtpserver.Reply{Code: r.Code, EnhancedCode: r.EnhancedCode, Lines: []string{r.Message}}, nil
		case "ATRN":
			r, turn := router.ATRN(s.Identity(), arg)
			reply := &smtpserver.Reply{Code: r.Code, EnhancedCode: r.EnhancedCode, Lines: []string{r.Message}}
			if turn != nil {
				reply.Takeover = func(ctx context.Context, conn net.Conn) { turn.Serve(ctx, conn) }
			}
			return reply, nil
		}
		return nil, nil
	}}
}

// inbox is a Handler that records the recipients.
type inbox struct {
	mu  sync.Mutex
	got []string
}

func (b *inbox) Receive(_ context.Context, _ *smtpserver.Session, m *smtpserver.Message) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range m.Recipients {
		b.got = append(b.got, r.Addr)
	}
	return "", nil
}

func serve(t *testing.T, srv *smtpserver.Server) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { srv.Serve(l) })
	t.Cleanup(func() { srv.Close(); serving.Wait() })
	return l.Addr().String()
}

// awaitHeld returns when all mail waits in its queue. It polls, because the
// queue has no event for this.
func awaitHeld(t *testing.T, q *queue.Queue, n int) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); ; <-tick.C {
		queues, err := q.Queues(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(queues) == 1 && queues[0].Stored == n && queues[0].InMemory == 0 && queues[0].Status == queue.QueueScheduled {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%+v", queues)
		}
	}
}

// Two complete relays with ATRN: a branch office authenticates and receives
// its mail over the same connection.
func TestATRNBetweenTwoRelays(t *testing.T) {
	table, err := routing.NewTable(routing.Connector{Name: "branch", Spaces: []string{"branch.example"}, Hold: true, HoldAccounts: []string{"branch"}})
	if err != nil {
		t.Fatal(err)
	}
	router := &routing.Router{Table: table, Hostname: "provider.example"}
	q := &queue.Queue{Store: new(memory.Store), Deliverer: router, Hostname: "provider.example"}
	router.Wake = routing.WakeQueue(q)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { q.Run(ctx) })
	defer running.Wait()
	defer stop()
	for i := range 20 {
		m := &queue.Message{From: "a@example.com", Recipients: queue.Rcpt(fmt.Sprintf("u%02d@branch.example", i)), Content: queue.String("Subject: x\r\n\r\nhello\r\n")}
		if err := q.Submit(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	awaitHeld(t, q, 20)
	provider := serve(t, &smtpserver.Server{Hostname: "provider.example", Agents: []smtpserver.Agent{heldMail(router)},
		AllowInsecureAuth: true, Limits: smtpserver.Limits{Tarpit: -1},
		Auth: smtpserver.PasswordAuth(func(_ context.Context, _ *smtpserver.Session, user, password string) error {
			if user != "branch" || password != "secret" {
				return errors.New("wrong password")
			}
			return nil
		})})

	box := &inbox{}
	ours := &smtpserver.Server{Hostname: "branch.example", Handler: box}
	defer ours.Close()
	fetch := func(user, password string) error {
		transport := &smtpclient.Transport{Hostname: "branch.example", Auth: smtpclient.PasswordAuth(user, password),
			AllowInsecureAuth: true, TLS: smtpclient.TLSPolicy{Level: smtpclient.TLSNone}}
		if user == "" {
			transport.Auth = nil
		}
		f := &routing.Fetcher{Transport: transport, Provider: routing.SmartHost{Host: "[127.0.0.1]" + provider[strings.LastIndex(provider, ":"):]},
			Method: routing.FetchATRN, Domains: []string{"branch.example"}, Serve: ours.Serve,
			Received: func() int64 { return ours.Counters().Messages }}
		n, err := f.FetchMail(t.Context())
		if n != len(box.got) {
			t.Errorf("FetchMail returned %d messages, want %d", n, len(box.got))
		}
		return err
	}
	if err := fetch("", ""); err == nil || !strings.Contains(err.Error(), "530") && !strings.Contains(err.Error(), "uthentication") {
		t.Errorf("without a name: %v", err)
	}
	if err := fetch("branch", "guessed"); err == nil {
		t.Error("mail was delivered with a wrong password")
	}
	if len(box.got) > 0 {
		t.Fatalf("strangers got %v", box.got)
	}
	if err := fetch("branch", "secret"); err != nil {
		t.Fatal(err)
	}
	if len(box.got) != 20 {
		t.Errorf("%d of 20 messages arrived", len(box.got))
	}
}

// The connection fails in the middle of a message, and the sender does not
// notice. The receiver connects again and gets all its mail except the message
// that is still being sent on the dead connection. It gets that message with
// the first request after the dead connection was detected.
func TestATRNAfterDeadConnection(t *testing.T) {
	table, err := routing.NewTable(routing.Connector{Name: "branch", Spaces: []string{"branch.example"}, Hold: true, HoldAccounts: []string{"branch"}})
	if err != nil {
		t.Fatal(err)
	}
	router := &routing.Router{Table: table, Hostname: "provider.example"}
	q := &queue.Queue{Store: new(memory.Store), Deliverer: router, Hostname: "provider.example"}
	router.Wake = routing.WakeQueue(q)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { q.Run(ctx) })
	defer running.Wait()
	defer stop()
	const n = 20
	for i := range n {
		m := &queue.Message{From: "a@example.com", Recipients: queue.Rcpt(fmt.Sprintf("u%02d@branch.example", i)), Content: queue.String("Subject: x\r\n\r\nhello\r\n")}
		if err := q.Submit(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	awaitHeld(t, q, n)

	_, dead := router.ATRN("branch", "")
	ours, theirs := net.Pipe()
	over := make(chan error, 1)
	go func() { over <- dead.Serve(ctx, ours) }()
	lines := bufio.NewReader(theirs)
	for _, reply := range []string{"220 branch.test", "250 branch.test"} {
		fmt.Fprintf(theirs, "%s\r\n", reply)
		if _, err := lines.ReadString('\n'); err != nil { // EHLO, then MAIL
			t.Fatal(err)
		}
	} // and then silence

	box := new(inbox)
	srv := &smtpserver.Server{Hostname: "branch.example", Handler: box}
	defer srv.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	running.Go(func() { srv.Serve(l) })
	fetch := func() int {
		t.Helper()
		_, turn := router.ATRN("branch", "")
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if err := turn.Serve(ctx, conn); err != nil {
			t.Error(err)
		}
		return turn.Delivered()
	}
	if got := fetch(); got != n-1 {
		t.Errorf("the second connection brought %d of %d messages", got, n-1)
	}
	theirs.Close()
	<-over
	awaitHeld(t, q, 1)
	if got := fetch(); got != 1 || dead.Delivered() != 0 {
		t.Errorf("the third connection brought %d messages, the dead one %d", got, dead.Delivered())
	}
	srv.Close()
}

// If the context of Fetch ends, the current message still finishes. The server
// owns the reversed connection and closes it on Shutdown.
func TestReversedConnectionEndsWithItsServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	srv, box := &smtpserver.Server{Hostname: "branch.test"}, new(inbox)
	srv.Handler = box
	f := &routing.Fetcher{Transport: &smtpclient.Transport{}, Provider: routing.SmartHost{Host: l.Addr().String()}, Method: routing.FetchATRN, Serve: srv.Serve}
	ctx, stop := context.WithCancel(t.Context())
	fetched := make(chan error)
	go func() { fetched <- f.Fetch(ctx) }()

	provider, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer provider.Close()
	commands := bufio.NewScanner(provider)
	for _, reply := range []string{"220 provider.test", "250 provider.test", "250 turning"} { // to EHLO, to ATRN
		fmt.Fprintf(provider, "%s\r\n", reply)
		if reply != "250 turning" && !commands.Scan() {
			t.Fatal(commands.Err())
		}
	}
	smtptest.TalkOn(t, provider, "S: 220 branch.test\nC: EHLO provider.test\nS: 250\nC: MAIL FROM:<a@example.net>\nS: 250\n"+
		"C: RCPT TO:<b@branch.example>\nS: 250\nC: DATA\nS: 354\nC: Subject: x")
	stop()
	if err := <-fetched; !errors.Is(err, context.Canceled) {
		t.Errorf("Fetch: %v", err)
	}
	ended := make(chan error)
	go func() { ended <- srv.Shutdown(t.Context()) }()
	smtptest.TalkOn(t, provider, "C:\nC: the rest\nC: .\nS: 250\nS: 421\nEOF")
	if err := <-ended; err != nil || len(box.got) != 1 {
		t.Errorf("%v, received %v", err, box.got)
	}
}
