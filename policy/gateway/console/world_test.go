package console

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/queue/tracking"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// A world is a relay with a console. Mail to down.example cannot be delivered
// now, mail to slow.example is deferred, and all other mail is delivered.
type world struct {
	t       *testing.T
	console *Console
	queue   *queue.Queue
	token   string // sent with each request
	socket  *smtptest.Listener
}

// dial connects to the relay from an address.
func (w *world) dial(from string) net.Conn {
	w.t.Helper()
	conn, err := w.socket.Dial(from)
	if err != nil {
		w.t.Fatal(err)
	}
	return conn
}

// inWorld runs f with a relay, on a clock of its own.
func inWorld(t *testing.T, c *Console, f func(w *world)) {
	t.Helper()
	inWorldOf(t, c, func() queue.Deliverer { return deliverer{} }, f)
}

// inWorldOf is inWorld with another Deliverer, which is made on the clock of the
// relay.
func inWorldOf(t *testing.T, c *Console, newDeliverer func() queue.Deliverer, f func(w *world)) {
	t.Helper()
	inWorldWith(t, c, &memory.Store{}, newDeliverer, f)
}

// inWorldWith is inWorldOf with another Store.
func inWorldWith(t *testing.T, c *Console, store queue.Store, newDeliverer func() queue.Deliverer, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		q := &queue.Queue{Store: store, Deliverer: newDeliverer()}
		socket := smtptest.NewListener()
		srv := &smtpserver.Server{Name: "receive", Handler: smtptest.NewInbox()}
		relay := &gateway.Gateway{Hostname: "relay.example.com", Queue: q, Parts: []gateway.Inheritor{c}, Listeners: []*gateway.Listener{{Server: srv, Socket: socket}}}
		c.Gateway = relay
		if c.Print == nil {
			c.Print = func(string) {}
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- relay.Run(ctx) }()
		defer func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		if err := c.setup(); err != nil {
			t.Error(err)
			return
		}
		f(&world{t, c, q, c.token.secret, socket})
	})
}

// track gives the relay a tracking log in a folder, which is written until stop is
// called. One second after an event, its line is written.
func (w *world) track(dir string) (stop func()) {
	log := &tracking.Log{Dir: dir}
	w.console.Gateway.Tracking = log // the console reads it; the test writes it
	events := w.queue.Subscribe(0)
	written := make(chan error)
	go func() { written <- log.Write(events) }()
	return func() {
		events.Close()
		if err := <-written; err != nil {
			w.t.Error(err)
		}
		w.console.Gateway.Tracking = nil
	}
}

// submit adds a message to the queue and waits until the relay does nothing.
func (w *world) submit(m *queue.Message) *queue.Message {
	w.t.Helper()
	if m.From == "" {
		m.From = "alice@example.com"
	}
	if m.Content == nil {
		m.Content = queue.String("From: alice@example.com\r\nSubject: Lunch\r\n\r\nAt noon?\r\n")
	}
	if err := w.queue.Submit(w.t.Context(), m); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
	return m
}

// mail returns a message to recipients.
func mail(rcpts ...string) *queue.Message { return &queue.Message{Recipients: queue.Rcpt(rcpts...)} }

// do answers a request.
func (w *world) do(r *http.Request) *httptest.ResponseRecorder {
	if w.token != "" && r.Header.Get("Cookie") == "" {
		r.Header.Set("Authorization", "Bearer "+w.token)
	}
	answer := httptest.NewRecorder()
	w.console.ServeHTTP(answer, r)
	return answer
}

// page returns a page, which must have the status.
func (w *world) page(path string, status int) string {
	w.t.Helper()
	r := httptest.NewRequest("GET", "http://127.0.0.1:8025"+path, nil)
	r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	answer := w.do(r)
	if answer.Code != status {
		w.t.Fatalf("GET %s: %d, want %d\n%s", path, answer.Code, status, answer.Body)
	}
	return answer.Body.String()
}

// get reads JSON from the API.
func (w *world) get(path string, to any) {
	w.t.Helper()
	answer := w.do(httptest.NewRequest("GET", "http://127.0.0.1:8025"+apiPrefix+path, nil))
	if answer.Code != http.StatusOK {
		w.t.Fatalf("GET %s: %d\n%s", path, answer.Code, answer.Body)
	}
	if err := json.Unmarshal(answer.Body.Bytes(), to); err != nil {
		w.t.Fatalf("GET %s: %v\n%s", path, err, answer.Body)
	}
}

// post sends a form to the API. The answer must have the status.
func (w *world) post(path string, status int, form url.Values, to any) {
	w.t.Helper()
	answer := w.send(apiPrefix+path, form)
	if answer.Code != status {
		w.t.Fatalf("POST %s: %d, want %d\n%s", path, answer.Code, status, answer.Body)
	}
	if to != nil {
		if err := json.Unmarshal(answer.Body.Bytes(), to); err != nil {
			w.t.Fatalf("POST %s: %v\n%s", path, err, answer.Body)
		}
	}
	synctest.Wait()
}

func (w *world) send(path string, form url.Values) *httptest.ResponseRecorder {
	return w.sendBody(path, "application/x-www-form-urlencoded", form.Encode())
}

// sendPage sends a form as a browser does.
func (w *world) sendPage(path string, form url.Values) *httptest.ResponseRecorder {
	r := httpPost(path, "application/x-www-form-urlencoded", form.Encode())
	r.Header.Set("Accept", "text/html")
	answer := w.do(r)
	synctest.Wait()
	return answer
}

func (w *world) sendBody(path, kind, body string) *httptest.ResponseRecorder {
	return w.do(httpPost(path, kind, body))
}

func httpPost(path, kind, body string) *http.Request {
	r := httptest.NewRequest("POST", "http://127.0.0.1:8025"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return r
}

func httpGet(path string) *http.Request {
	return httptest.NewRequest("GET", "http://127.0.0.1:8025"+path, nil)
}

// form returns the values of a form.
func form(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v
}

// asViewer and asOperator are functions for Console.Authorize.
func asViewer(*http.Request) (Access, error) { return Access{Name: "vera", Role: Viewer}, nil }

func asOperator(*http.Request) (Access, error) { return Access{Name: "oscar", Role: Operator}, nil }

type deliverer struct{}

func (deliverer) Route(_ context.Context, _ *queue.Message, r *queue.Recipient) (queue.NextHop, error) {
	_, domain, _ := strings.Cut(r.Addr, "@")
	return queue.NextHop{Connector: "internet", Destination: strings.ToLower(domain)}, nil
}

func (deliverer) Deliver(_ context.Context, hop queue.NextHop, _ *queue.Message, rcpts []*queue.Recipient) []queue.Result {
	results := make([]queue.Result, len(rcpts))
	for i := range results {
		switch hop.Destination {
		case "down.example":
			results[i] = queue.Result{Outcome: queue.Unreachable, Reply: smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 4, 1}, Message: "connection refused"}}
		case "slow.example":
			results[i] = queue.Result{Outcome: queue.Deferred, Host: "mx.slow.example", Reply: smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 2, 2}, Message: "Mailbox full"}}
		default:
			results[i].Outcome = queue.Success
		}
	}
	return results
}
