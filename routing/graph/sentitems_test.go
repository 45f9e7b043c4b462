package graph

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A message that Graph has sent without saying so is found although Sent Items lags,
// and no second copy is sent.
func TestSentItemsLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGraphInMemory(t, step{status: 504, send: true})
		g.lag = 5
		began := time.Now()
		if got := deliver(t, g.transport(), job(letter, "bob@example.net", "carol@example.net")); got != "success 250 2.0.0" {
			t.Errorf("the result is %s", got)
		}
		if posts, searches := g.counts(); posts != 1 || searches != 6 {
			t.Errorf("%d requests, %d searches", posts, searches)
		}
		if d := time.Since(began); d != time.Minute { // 2 + 4 + 8 + 16 + 30 s
			t.Errorf("the item was found after %v", d)
		}
	})
}

// A search that Graph refuses with 429 is repeated after Retry-After. If that is later
// than SearchTime, the next attempt searches.
func TestSearchIsThrottled(t *testing.T) {
	for after, want := range map[string]struct {
		result   string
		time     time.Duration
		searches int
	}{
		"45":  {"success 250 2.0.0", 45 * time.Second, 2},
		"600": {"deferred 451 4.4.2", 0, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := newGraphInMemory(t, step{status: 504, send: true})
			g.busy = []string{after}
			began := time.Now()
			got := deliver(t, g.transport(), job(letter, "bob@example.net"))
			if posts, searches := g.counts(); got != want.result || time.Since(began) != want.time || posts != 1 || searches != want.searches {
				t.Errorf("Retry-After %s: the result is %s after %v, %d requests and %d searches", after, got, time.Since(began), posts, searches)
			}
		})
	}
}

// If the item appears after SearchTime, the next attempt finds it. If there is none,
// the next attempt sends.
func TestNextAttempt(t *testing.T) {
	for name, sent := range map[string]bool{"sent": true, "not sent": false} {
		g := newGraph(t, step{status: 504, send: sent})
		g.lag = 1000
		tr, j := g.transport(), job(letter, "bob@example.net")
		if got := deliver(t, tr, j); got != "deferred 451 4.4.2" {
			t.Errorf("%s: the result is %s", name, got)
		}
		g.lag = 0
		if got := deliver(t, tr, j); got != "success 250 2.0.0" || g.received() != "bob@example.net" {
			t.Errorf("%s: the result is %s, received by %s", name, got, g.received())
		}
	}
}

// While Sent Items cannot be searched, a message that may have been sent waits. Without
// Mail.Read it does not wait for ever: the log says what to grant.
func TestSearchFails(t *testing.T) {
	for _, status := range []int{401, 429, 500, 503, 504, 302} {
		g := newGraph(t, step{status: 504, send: true})
		g.search = status
		tr, j := g.transport(), job(letter, "bob@example.net")
		for range 2 {
			if got := deliver(t, tr, j); got != "deferred 451 4.4.2" {
				t.Errorf("search %d: the result is %s", status, got)
			}
		}
		g.search = 0
		if got := deliver(t, tr, j); got != "success 250 2.0.0" || g.received() != "bob@example.net" {
			t.Errorf("search %d: the result is %s, received by %s", status, got, g.received())
		}
	}
	g := newGraph(t, step{status: 504})
	g.search = 403
	tr, j := g.transport(), job(letter, "bob@example.net")
	log, logged := logOf()
	tr.Logger = log
	for _, want := range []string{"deferred 451 4.4.2", "success 250 2.0.0"} {
		if got := deliver(t, tr, j); got != want {
			t.Errorf("without Mail.Read: the result is %s, want %s", got, want)
		}
	}
	if s := logged.String(); !strings.Contains(s, "Mail.Read") || strings.Contains(s, "confidential") {
		t.Errorf("the log is %s", s)
	}
}

// A process that died during an attempt, and one that was stopped, may have sent the
// message.
func TestEarlierProcess(t *testing.T) {
	for name, c := range map[string]struct {
		change   func(*queue.Message)
		lag      int
		received string
		searches int
	}{
		"died, sent":      {func(m *queue.Message) { m.Interrupted = 1 }, 2, "bob@example.net", 3},
		"older, sent":     {func(m *queue.Message) { m.Received = started.Add(-time.Minute) }, 0, "bob@example.net", 1},
		"older, lag":      {func(m *queue.Message) { m.Received = started.Add(-time.Minute) }, 9, "bob@example.net; bob@example.net", 1},
		"new, not looked": {func(*queue.Message) {}, 0, "bob@example.net; bob@example.net", 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := newGraphInMemory(t)
			deliver(t, g.transport(), job(letter, "bob@example.net"))
			g.lag = c.lag
			j := job(letter, "bob@example.net")
			c.change(j.Message)
			if got := deliver(t, g.transport(), j); got != "success 250 2.0.0" {
				t.Errorf("%s: the result is %s", name, got)
			}
			if _, searches := g.counts(); g.received() != c.received || searches != c.searches {
				t.Errorf("%s: received by %s after %d searches", name, g.received(), searches)
			}
		})
	}
}

// While Graph does not work, a message that is older than the process waits as other
// mail does: the result says why.
func TestEarlierProcessWithoutGraph(t *testing.T) {
	g := newGraph(t)
	for want, change := range map[string]func(*Transport){
		"unreachable 451 4.7.0": func(tr *Transport) { tr.Token = func(context.Context) (string, error) { return "", nil } },
		"unreachable 451 4.4.2": func(tr *Transport) { tr.RootCAs = nil },
	} {
		tr, j := g.transport(), job(letter, "bob@example.net")
		change(tr)
		j.Message.Received = started.Add(-time.Minute)
		if got := deliver(t, tr, j); got != want {
			t.Errorf("the result is %s, want %s", got, want)
		}
	}
}

// A copy for other recipients, or another message with the same Message-ID, is not
// taken for the message.
func TestNotTheMessage(t *testing.T) {
	for name, c := range map[string]struct {
		id       string
		to       string
		noFields bool
		want     string
	}{
		"the other part of the message":            {"m1", "carol@example.net", false, "carol@example.net; bob@example.net"},
		"the other part, without fields":           {"m1", "carol@example.net", true, "carol@example.net; bob@example.net"},
		"a machine with one Message-ID":            {"m0", "bob@example.net", false, "bob@example.net; bob@example.net"},
		"the message to this recipient and others": {"m1", "carol@example.net bob@example.net", true, "bob@example.net carol@example.net"},
	} {
		g := newGraph(t)
		g.noFields = c.noFields
		first := job(letter, strings.Fields(c.to)...)
		first.Message.ID = c.id
		deliver(t, g.transport(), first)
		j := job(letter, "bob@example.net")
		j.Message.Interrupted = 1
		if got := deliver(t, g.transport(), j); got != "success 250 2.0.0" || g.received() != c.want {
			t.Errorf("%s: the result is %s, received by %s", name, got, g.received())
		}
	}
}

// Some recipients were sent to: only the others get the message.
func TestPartlySent(t *testing.T) {
	g := newGraph(t)
	deliver(t, g.transport(), job(letter, "bob@example.net"))
	j := job(letter, "bob@example.net", "carol@example.net")
	j.Message.Interrupted = 1
	if got := deliver(t, g.transport(), j); got != "success 250 2.0.0" || g.received() != "bob@example.net; carol@example.net" {
		t.Errorf("the result is %s, received by %s", got, g.received())
	}
}

// The search names the Message-ID, and quotes it.
func TestFilter(t *testing.T) {
	g := newGraph(t, step{status: 504, send: true})
	j := job(strings.Replace(letter, "<1@scanner>", "<o'neill&1@scanner>", 1), "bob@example.net")
	j.Message.Received = time.Date(2126, 11, 29, 12, 0, 0, 0, time.UTC)
	if got := deliver(t, g.transport(), j); got != "success 250 2.0.0" {
		t.Errorf("the result is %s", got)
	}
	if got := g.filters[0]; got != "internetMessageId eq '<o''neill&1@scanner>' and sentDateTime ge 2126-11-29T11:00:00Z" {
		t.Errorf("the filter is %s", got)
	}
}

// An incomplete list of items proves nothing.
func TestReadItems(t *testing.T) {
	for text, ok := range map[string]bool{
		`{"value":[]}`: true, `{"value":[{"toRecipients":[{"emailAddress":{"address":"a@b"}}]}]}`: true,
		``: false, `{}`: false, `[]`: false, `{"value":[]`: false, `{"value":null}`: false, `{"value":[],"@odata.nextLink":"https://x"}`: false,
		`{"value":[` + strings.Repeat(" ", maxSearchBody) + `]}`: false,
	} {
		if _, err := readItems(t.Context(), strings.NewReader(text)); (err == nil) != ok {
			t.Errorf("%.60s: %v", text, err)
		}
	}
}

// If Exchange has replaced the address of a recipient, the item does not prove that
// the recipient has the message. A second copy is better than a lost message.
func TestReplacedAddress(t *testing.T) {
	g := newGraph(t, step{status: 504, send: true})
	g.alias = map[string]string{"alias@contoso.com": "bob@contoso.com"}
	tr, j := g.transport(), job(letter, "alias@contoso.com")
	for _, want := range []string{"deferred 451 4.4.2", "success 250 2.0.0"} {
		if got := deliver(t, tr, j); got != want {
			t.Errorf("the result is %s, want %s", got, want)
		}
	}
	if posts, _ := g.counts(); posts != 2 {
		t.Errorf("%d requests", posts)
	}
}
