package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/metrics"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/clustertest"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// A relay is a real one: a server with TLS and AUTH, a spool, and a router. Its next hop
// is a server that refuses nobody@ and defers later@. It shares its store with the nodes
// b, which is dead, and c, which was stopped.
type relay struct {
	gateway.Gateway
	store *spool.Spool
	next  *smtptest.Server
	addr  string
}

func newRelay(t *testing.T) *relay {
	t.Helper()
	serverTLS, _ := smtptest.TLSConfig(t)
	nextTLS, _ := smtptest.TLSConfig(t)
	r := &relay{next: smtptest.NewServer(t, &smtpserver.Server{Hostname: "next.example", TLSConfig: nextTLS, Agents: []smtpserver.Agent{{Name: "users",
		Rcpt: func(_ context.Context, _ *smtpserver.Session, to string, _ *smtp.RcptOptions) error {
			switch local, _, _ := strings.Cut(to, "@"); local {
			case "nobody":
				return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No such user"}
			case "later":
				return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 2, 1}, Message: "Later"}
			}
			return nil
		}}}})}
	var err error
	if r.store, err = spool.Open(t.TempDir(), nil); err != nil {
		t.Fatal(err)
	}
	cluster := clustertest.New(
		queue.Node{Name: "a", State: queue.NodeAlive, This: true, Silent: 2 * time.Second, Leased: 7},
		queue.Node{Name: "b", State: queue.NodeDead, Silent: time.Minute, Leased: 3, Draining: queue.Draining{By: "vera"}},
		queue.Node{Name: "c", State: queue.NodeStopped},
	)
	host, port, _ := net.SplitHostPort(r.next.Addr)
	table, err := routing.NewTable(routing.Connector{Name: "out", Spaces: []string{"*"}, SmartHosts: routing.SmartHosts("[" + host + "]:" + port)})
	if err != nil {
		t.Fatal(err)
	}
	router := &routing.Router{Table: table}
	r.Hostname = "relay.example.com"
	r.Queue = &queue.Queue{Deliverer: router, Store: struct {
		*spool.Spool
		*clustertest.Cluster
	}{r.store, cluster}}
	r.Closers = []io.Closer{router, r.store}
	srv := &smtpserver.Server{Name: "public", TLSConfig: serverTLS, Limits: smtpserver.Limits{Tarpit: -1},
		Auth: smtpserver.PasswordAuth(func(_ context.Context, _ *smtpserver.Session, user, password string) error {
			if user != "alice" || password != "secret" {
				return errors.New("wrong password")
			}
			return nil
		})}
	gate := &policy.Gate{Domains: []policy.Domain{{Name: "example.com"}}, Authenticated: true, Queue: r.Queue}
	if err := gate.Install(srv); err != nil {
		t.Fatal(err)
	}
	r.Listeners = []*gateway.Listener{{Server: srv, Address: "127.0.0.1:0"}}
	return r
}

// run runs the relay until the test ends.
func (r *relay) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-r.Ready():
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	}
	r.addr = r.Listeners[0].Addr().String()
}

// work has the relay refuse, receive, deliver, fail and defer mail.
func (r *relay) work(t *testing.T) {
	t.Helper()
	smtptest.Talk(t, r.addr, `
		S: 220
		C: EHLO client.example
		S: 250
		C: MAIL FROM:<carol@example.org>
		S: 250
		C: RCPT TO:<stranger@example.net>
		S: 550
		C: RCPT TO:<bob@example.com>
		S: 250
		C: DATA
		S: 354
		C: Subject: one
		C:
		C: Hello.
		C: .
		S: 250
		C: MAIL FROM:<carol@example.org>
		S: 250
		C: RCPT TO:<later@example.com>
		S: 250
		C: DATA
		S: 354
		C: Subject: two
		C:
		C: .
		S: 250
		C: QUIT
		S: 221
		EOF
	`)
	smtptest.Talk(t, r.addr, `
		S: 220
		C: EHLO client.example
		S: 250
		C: STARTTLS
		S: 220
		TLS
		C: EHLO client.example
		S: 250
		C: AUTH PLAIN AGFsaWNlAHdyb25n
		S: 535
		C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
		S: 235
		C: MAIL FROM:<alice@example.com>
		S: 250
		C: RCPT TO:<nobody@example.net>
		S: 250
		C: RCPT TO:<dave@example.net>
		S: 250
		C: DATA
		S: 354
		C: Subject: three
		C:
		C: .
		S: 250
		C: QUIT
		S: 221
	`)
	peers.Await(t, "all attempts", func() bool {
		c := r.Queue.Counters()
		totals, err := r.Queue.Totals(t.Context())
		return err == nil && c.Recipients["delivered"] == 3 && c.Recipients["deferred"] == 1 && c.Recipients["failed"] == 1 &&
			totals.Messages[queue.MessageRetry] == 1 && totals.Messages[queue.MessageActive] == 0 && r.ServerCounters().Current == 0
	})
}

// get scrapes an exporter as a monitoring system does.
func get(t *testing.T, e *metrics.Exporter, accept string) (text string, header http.Header) {
	t.Helper()
	w := httptest.NewRecorder()
	req := httptest.NewRequest("GET", "/metrics", nil)
	req.Header.Set("Accept", accept)
	e.ServeHTTP(w, req)
	if w.Code != http.StatusOK {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	return w.Body.String(), w.Header()
}

// Every number of the exposition is what the relay really did. What the sending side
// counts is compared with what the next hop has counted.
func TestNumbersAreTrue(t *testing.T) {
	r := newRelay(t)
	began := time.Now()
	r.run(t)
	r.work(t)
	e := &metrics.Exporter{Gateway: &r.Gateway, NextHops: 5}
	text, header := get(t, e, "")
	if got := header.Get("Content-Type"); got != "text/plain; version=0.0.4; charset=utf-8" {
		t.Errorf("Content-Type %q", got)
	}
	s, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	next, totals := r.next.Counters(), firstTotals(t, r)
	leaf := r.CurrentServers()[0].TLSConfig.Certificates[0].Leaf
	hop := fmt.Sprintf("{connector=\"out\",destination=%q}", onlyHop(t, r))
	content := len("Subject: one\r\n\r\nHello.\r\n") + len("Subject: two\r\n\r\n") + len("Subject: three\r\n\r\n")
	want := map[string]float64{
		"healthy{check=\"relay\"}": 1, "healthy{check=\"queue\"}": 1, "healthy{check=\"store\"}": 1, "healthy{check=\"listener\"}": 1,
		"scrape_errors_total": 0,
		fmt.Sprintf("tls_certificate_expiry_timestamp_seconds{connector=\"public\",name=%q}", leaf.DNSNames[0]): float64(leaf.NotAfter.Unix()),

		"smtpd_sessions": 0, "smtpd_sessions_total": 2, "smtpd_bytes_total": float64(content), "smtpd_panics_total": 0,
		`smtpd_messages_total{result="accepted"}`: 3, `smtpd_messages_total{result="discarded"}`: 0, `smtpd_messages_total{result="refused"}`: 0, `smtpd_messages_total{result="deferred"}`: 0,
		`smtpd_replies_total{code="220"}`: 3, `smtpd_replies_total{code="221"}`: 2, `smtpd_replies_total{code="235"}`: 1, `smtpd_replies_total{code="250"}`: 13,
		`smtpd_replies_total{code="354"}`: 3, `smtpd_replies_total{code="535"}`: 1, `smtpd_replies_total{code="550"}`: 1,
		`smtpd_refusals_total{agent="relay"}`: 1, `smtpd_refusals_total{agent="auth"}`: 1,
		`smtpd_auth_total{mechanism="PLAIN",result="ok"}`: 1, `smtpd_auth_total{mechanism="PLAIN",result="failed"}`: 1,
		`smtpd_tls_total{version="TLS 1.3",result="ok"}`: 1, `smtpd_tls_total{version="",result="failed"}`: 0,
		"smtpd_accept_duration_seconds_count": 3,

		`queue_messages{state="ready"}`: 0, `queue_messages{state="active"}`: 0, `queue_messages{state="retry"}`: 1, `queue_messages{state="held"}`: 0,
		`queue_messages{state="suspended"}`: 0, `queue_messages{state="poison"}`: 0, `queue_messages{state="bad_mail"}`: 0, `queue_messages{state="results"}`: 0,
		"queue_bytes": float64(totals.Bytes), "queue_messages_by_age_count": 1, "queue_enqueued_total": 3,
		`queue_hops{status="ready"}`: 1, `queue_hops{status="active"}`: 0, `queue_hops{status="retry"}`: 0, `queue_hops{status="connecting"}`: 0,
		`queue_hops{status="suspended"}`: 0, `queue_hops{status="scheduled"}`: 0, `queue_hops{status="aside"}`: 0,
		`queue_attempts_total{result="success"}`: 2, `queue_attempts_total{result="partial"}`: 1, `queue_attempts_total{result="deferred"}`: 1,
		`queue_attempts_total{result="failure"}`: 0, `queue_attempts_total{result="unreachable"}`: 0, `queue_attempts_total{result="canceled"}`: 0,
		`queue_recipients_total{outcome="delivered"}`: 3, `queue_recipients_total{outcome="failed"}`: 1, `queue_recipients_total{outcome="deferred"}`: 1,
		`queue_recipients_total{outcome="expired"}`: 0, `queue_recipients_total{outcome="removed"}`: 0, `queue_recipients_total{outcome="expanded"}`: 0,
		`queue_delivery_age_seconds_count{priority="normal"}`: 3, `queue_delivery_age_seconds_count{priority="high"}`: 0, `queue_delivery_age_seconds_count{priority="low"}`: 0,
		`queue_delivery_age_seconds_sum{priority="high"}`: 0, `queue_delivery_age_seconds_sum{priority="low"}`: 0,
		`queue_reports_total{action="failed"}`: 1, `queue_reports_total{action="delayed"}`: 0, `queue_reports_total{action="relayed"}`: 0,
		`queue_reports_total{action="expanded"}`: 0, `queue_reports_total{action="reduced"}`: 0, `queue_reports_total{action="suppressed"}`: 0,
		"queue_bad_mail_total": 0, "queue_poison_total": 0, "queue_events_dropped_total": 0,
		`queue_throttled_total{reason="refused"}`: 0, `queue_throttled_total{reason="busy"}`: 0, `queue_throttled_total{reason="rate"}`: 0, `queue_throttled_total{reason="total_rate"}`: 0,

		"store_warnings": 0, "store_writable": 1, "store_commit_duration_seconds_count": float64(r.store.Stats().Commits), "store_commit_messages_sum": 4, // with the report
		`nodes{state="alive"}`: 1, `nodes{state="silent"}`: 0, `nodes{state="dead"}`: 1, `nodes{state="stopped"}`: 1,
		`node_state{node="a",state="alive"}`: 1, `node_silent_seconds{node="a"}`: 2, `node_leased_messages{node="a"}`: 7, `node_draining{node="a"}`: 0,
		`node_state{node="b",state="dead"}`: 1, `node_silent_seconds{node="b"}`: 60, `node_leased_messages{node="b"}`: 3, `node_draining{node="b"}`: 1,

		"next_hop_messages" + hop: 1, "next_hop_bytes" + hop: float64(totals.Bytes),

		"smtp_connections": float64(next.Current), "smtp_messages_total": float64(next.Messages), "smtp_bytes_total": float64(next.Bytes), "smtp_tls_failures_total": 0,
		`smtp_sessions_total{result="ok"}`: float64(next.Sessions), `smtp_sessions_total{result="failed"}`: 0,
		`smtp_connects_total{result="ok"}`: float64(next.Sessions), `smtp_tls_total{verified="none"}`: float64(next.TLSVersions["TLS 1.3"]),
		`smtp_replies_total{stage="rcpt",enhanced="5.1"}`: 1, `smtp_replies_total{stage="rcpt",enhanced="4.2"}`: 1, `smtp_replies_total{stage="rcpt",enhanced="2.1"}`: 3,
	}
	for id, v := range want {
		if got, ok := s.values[id]; !ok || got != v {
			t.Errorf("%s is %v (%t), want %v", id, got, ok, v)
		}
	}
	if next.Messages != 3 {
		t.Errorf("the next hop has %d messages", next.Messages)
	}
	elapsed := time.Since(began).Seconds()
	replies := 0.0
	for id, v := range s.values {
		name, labels, _ := strings.Cut(id, "{")
		switch _, known := want[id]; {
		case known:
		case strings.HasSuffix(name, "_bucket"):
			histogram(t, s, id)
		case name == "store_commit_messages_count":
			if v < 1 || v > 4 {
				t.Errorf("%s is %v with 4 messages", id, v)
			}
		case strings.HasSuffix(name, "_count"): // the steps of the sessions with the next hop
			if stage, _ := strings.CutSuffix(labels, "}"); name != "smtp_duration_seconds_count" || v != durations(next)[stage] {
				t.Errorf("%s is %v, want %v", id, v, durations(next)[stage])
			}
		case strings.HasSuffix(name, "_sum") || strings.HasSuffix(name, "oldest_seconds"):
			if v < 0 || v > 10*elapsed { // some are sums of three sessions
				t.Errorf("%s is %v after %v s", id, v, elapsed)
			}
		case name == "smtp_replies_total":
			replies += v
		case name == "smtp_connects_total" || name == "smtp_tls_total":
			if v != 0 {
				t.Errorf("%s is %v", id, v)
			}
		case name == "store_free_bytes":
			if free := float64(r.store.StoreStats().Free); v < free/2 || v > free*2 {
				t.Errorf("%s is %v, now %v", id, v, free)
			}
		case name == "start_time_seconds":
			if at := float64(began.UnixNano()) / 1e9; v < at || v > at+elapsed {
				t.Errorf("%s is %v, started at %v", id, v, at)
			}
		case name == "build_info":
			if v != 1 || !strings.Contains(labels, `goversion="go1.`) {
				t.Errorf("%s is %v", id, v)
			}
		default:
			t.Errorf("%s is %v: the test does not know it", id, v)
		}
	}
	other := 0.0 // replies of the next hop, except 220 before TLS, to QUIT and to RCPT with a code above
	for code, n := range next.Replies {
		if code != 221 {
			other += float64(n)
		}
	}
	if replies != other-5 {
		t.Errorf("%v replies to other commands than RCPT, the next hop has sent %v with those to RCPT: %v", replies, other, next.Replies)
	}
}

// durations are the numbers of steps that the sessions of the next hop had. The client
// sends DATA before it knows that the only recipient is deferred, and then RSET.
func durations(next smtpserver.Counters) map[string]float64 {
	sessions := float64(next.Sessions)
	return map[string]float64{`stage="connect"`: sessions, `stage="greeting"`: sessions, `stage="helo"`: 2 * sessions, `stage="starttls"`: sessions,
		`stage="handshake"`: sessions, `stage="mail"`: 4, `stage="rcpt"`: 5, `stage="data"`: 4, `stage="other"`: 1, `stage="content"`: 3, `stage="end_of_data"`: 3}
}

// histogram checks one bucket: it has at most as many values as the next one, and the
// last one has all.
func histogram(t *testing.T, s *scrape, id string) {
	t.Helper()
	all := strings.Replace(id, "_bucket", "_count", 1)
	i := strings.LastIndex(all, "le=")
	all = strings.TrimRight(all[:i], ",{")
	if strings.Contains(all, "{") {
		all += "}"
	}
	count, ok := s.values[all]
	if v := s.values[id]; !ok || v > count || v < 0 || strings.Contains(id, `le="+Inf"`) && v != count {
		t.Errorf("%s is %v, %s is %v", id, v, all, count)
	}
}

func firstTotals(t *testing.T, r *relay) queue.Totals {
	t.Helper()
	totals, err := r.Queue.Totals(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var stored int64
	for m, err := range r.Queue.Messages(t.Context(), queue.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		stored += m.Size
	}
	if stored != totals.Bytes || stored == 0 {
		t.Errorf("%d bytes, the messages have %d", totals.Bytes, stored)
	}
	return totals
}

func onlyHop(t *testing.T, r *relay) string {
	t.Helper()
	hops, err := r.Queue.Queues(t.Context())
	if err != nil || len(hops) != 1 {
		t.Fatal(hops, err)
	}
	return hops[0].Hop.Destination
}
