package graph

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		child()
		return
	}
	goleak.VerifyTestMain(m)
}

// A fakeGraph is a scripted Graph with one mailbox, scanner@contoso.com.
type fakeGraph struct {
	*httptest.Server
	t    *testing.T
	dial func(ctx context.Context, network, addr string) (net.Conn, error)

	mu        sync.Mutex
	script    []step            // for the next requests to sendMail; then each is sent
	lag       int               // searches that find nothing
	search    int               // status of searches; 0: 200
	busy      []string          // values of Retry-After for the next searches, with 429
	alias     map[string]string // addresses that items have in another form
	noFields  bool              // items of Sent Items have no header fields
	raw       string            // response to sendMail, instead of that of script
	rawSearch string            // response to searches
	mails     []*mail.Message
	texts     []string
	items     []item
	posts     int
	searches  int
	filters   []string
	begun     func() // called for each request to sendMail
}

// A step is what the fake does with a request to sendMail.
type step struct {
	status int // 0: cut the connection
	code   string
	header http.Header
	send   bool
}

func newGraph(t *testing.T, script ...step) *fakeGraph { return newGraphWith(t, true, script...) }

// newGraphWith returns a Graph that offers HTTP/2, or only HTTP/1.1.
func newGraphWith(t *testing.T, http2 bool, script ...step) *fakeGraph {
	g := unstarted(t, script)
	g.EnableHTTP2 = http2
	g.start()
	return g
}

// newGraphInMemory returns a Graph for a testing/synctest bubble, where time advances at
// once. Its transports have the default SearchTime.
func newGraphInMemory(t *testing.T, script ...step) *fakeGraph {
	g := unstarted(t, script)
	g.Listener.Close()
	l := smtptest.NewListener()
	g.Listener = l
	g.dial = func(context.Context, string, string) (net.Conn, error) { return l.Dial("192.0.2.7:1025") }
	g.start()
	return g
}

func unstarted(t *testing.T, script []step) *fakeGraph {
	g := &fakeGraph{t: t, script: script}
	g.Server = httptest.NewUnstartedServer(g)
	g.Config.ErrorLog = log.New(io.Discard, "", 0)
	return g
}

func (g *fakeGraph) start() {
	g.StartTLS()
	g.t.Cleanup(g.Close)
}

// transport returns a Transport that uses the fake.
func (g *fakeGraph) transport() *Transport {
	pool := x509.NewCertPool()
	pool.AddCert(g.Certificate())
	t := &Transport{
		Token: func(context.Context) (string, error) { return "secret-token", nil }, Mailbox: "scanner@contoso.com",
		Endpoint: "https://example.com", RootCAs: pool, DialContext: g.dial,
	}
	if g.dial == nil {
		t.DialContext, t.SearchTime = dialTo(g.Listener.Addr().String()), 40*time.Millisecond
	}
	g.t.Cleanup(func() { t.Close() })
	return t
}

func dialTo(addr string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
}

func (g *fakeGraph) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer secret-token" {
		g.t.Errorf("%s: the token is %q", r.URL, r.Header.Get("Authorization"))
	}
	switch r.Method + " " + r.URL.Path {
	case "POST /v1.0/users/scanner@contoso.com/sendMail":
		g.sendMail(w, r)
	case "GET /v1.0/users/scanner@contoso.com/mailFolders/sentitems/messages":
		g.find(w, r)
	default:
		g.t.Errorf("unexpected request %s %s", r.Method, r.URL.Path)
		w.WriteHeader(404)
	}
}

func (g *fakeGraph) sendMail(w http.ResponseWriter, r *http.Request) {
	encoded, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has not sent it all
	}
	text, err := base64.StdEncoding.DecodeString(string(encoded))
	if err != nil || r.Header.Get("Content-Type") != "text/plain" {
		g.t.Errorf("the body is %s with %v", r.Header.Get("Content-Type"), err)
	}
	g.mu.Lock()
	g.posts++
	s := step{status: 202, send: true}
	if len(g.script) > 0 {
		s, g.script = g.script[0], g.script[1:]
	}
	if s.send {
		g.send(text)
	}
	begun := g.begun
	g.mu.Unlock()
	if g.raw != "" {
		cut(w, g.raw)
		return
	}
	if begun != nil {
		begun()
	}
	if s.status == 0 {
		panic(http.ErrAbortHandler)
	}
	for name, values := range s.header {
		w.Header()[name] = values
	}
	w.WriteHeader(s.status)
	if s.status != 202 {
		fmt.Fprintf(w, `{"error":{"code":%q,"message":"confidential text"}}`, s.code)
	}
}

// cut writes a response as it is, and ends the connection.
func cut(w http.ResponseWriter, response string) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		io.WriteString(conn, response)
		conn.Close()
	}
}

// send does what Exchange does: it sends to the addresses in To, Cc and Bcc.
func (g *fakeGraph) send(text []byte) {
	m, err := mail.ReadMessage(bytes.NewReader(text))
	if err != nil {
		g.t.Errorf("%v: %q", err, text)
		return
	}
	body, _ := io.ReadAll(m.Body)
	m.Body = bytes.NewReader(body)
	var it item
	for name, list := range map[string]*[]recipient{"To": &it.To, "Cc": &it.Cc, "Bcc": &it.Bcc} {
		for _, value := range m.Header[name] {
			found, err := mail.ParseAddressList(value)
			if err != nil {
				g.t.Errorf("%s: %q: %v", name, value, err)
			}
			for _, a := range found {
				var r recipient
				r.EmailAddress.Address = or(g.alias[a.Address], a.Address)
				*list = append(*list, r)
			}
		}
	}
	for name, values := range m.Header {
		if g.noFields && name != "Message-Id" {
			continue
		}
		for _, v := range values {
			it.Headers = append(it.Headers, struct {
				Name  string `json:"name"`
				Value string `json:"value"`
			}{name, v})
		}
	}
	g.mails, g.texts, g.items = append(g.mails, m), append(g.texts, string(text)), append(g.items, it)
}

// find searches Sent Items.
func (g *fakeGraph) find(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.searches++
	if g.rawSearch != "" {
		cut(w, g.rawSearch)
		return
	}
	filter := r.URL.Query().Get("$filter")
	g.filters = append(g.filters, filter)
	if g.search != 0 {
		w.WriteHeader(g.search)
		io.WriteString(w, `{"error":{"code":"ErrorAccessDenied","message":"confidential text"}}`)
		return
	}
	if len(g.busy) > 0 {
		w.Header().Set("Retry-After", g.busy[0])
		w.WriteHeader(http.StatusTooManyRequests)
		g.busy = g.busy[1:]
		return
	}
	found := []item{}
	if g.lag--; g.lag < 0 {
		for i, m := range g.mails {
			if strings.HasPrefix(filter, "internetMessageId eq '"+strings.ReplaceAll(m.Header.Get("Message-Id"), "'", "''")+"'") {
				found = append(found, g.items[i])
			}
		}
	}
	json.NewEncoder(w).Encode(map[string]any{"value": found})
}

// received returns the recipients of each mail that was sent, in order.
func (g *fakeGraph) received() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []string
	for _, it := range g.items {
		var to []string
		for _, r := range slices.Concat(it.To, it.Cc, it.Bcc) {
			to = append(to, r.EmailAddress.Address)
		}
		slices.Sort(to)
		all = append(all, strings.Join(to, " "))
	}
	return strings.Join(all, "; ")
}

// counts returns the numbers of requests.
func (g *fakeGraph) counts() (posts, searches int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.posts, g.searches
}

const letter = "From: scanner@contoso.com\r\nTo: bob@example.net\r\nSubject: scan\r\nMessage-ID: <1@scanner>\r\n\r\nhello\r\n"

// job returns a job with a message that no earlier process had.
func job(text string, to ...string) *routing.Job {
	m := &queue.Message{ID: "m1", From: "scanner@contoso.com", Content: queue.String(text), Received: started, Recipients: queue.Rcpt(to...)}
	return &routing.Job{Message: m, Recipients: m.Recipients}
}

// deliver makes an attempt, and notes its results as the queue does.
func deliver(t *testing.T, tr *Transport, j *routing.Job) string {
	t.Helper()
	results := tr.Deliver(t.Context(), j)
	if len(results) != len(j.Recipients) {
		t.Fatalf("%d results for %d recipients", len(results), len(j.Recipients))
	}
	var all []string
	for i, r := range results {
		j.Recipients[i].Last = r
		all = append(all, fmt.Sprintf("%v %d %d.%d.%d", r.Outcome, r.Reply.Code, r.Reply.EnhancedCode[0], r.Reply.EnhancedCode[1], r.Reply.EnhancedCode[2]))
		for _, text := range []string{r.Reply.Message, fmt.Sprint(r.Err)} {
			if strings.Contains(text, "secret-token") || strings.Contains(text, "confidential") {
				t.Errorf("the result contains a secret: %q", text)
			}
		}
	}
	return strings.Join(slices.Compact(all), "; ")
}

// logOf returns a logger and what it has logged.
func logOf() (*slog.Logger, *bytes.Buffer) {
	var b bytes.Buffer
	return slog.New(slog.NewTextHandler(&b, nil)), &b
}
