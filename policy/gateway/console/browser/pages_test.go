package browser

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"golang.org/x/sync/errgroup"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// The environment variables for runs outside of CI.
const (
	screenshots = "BRIDGEHEAD_SCREENSHOTS" // the folder for a picture of each page in each form
	million     = "BRIDGEHEAD_MILLION"     // 1: also with a million messages for 100,000 next hops
)

// Each page, with and without mail, in a wide and in a narrow window, in a light and in
// a dark color scheme: axe-core finds no fault, the page is not wider than the window,
// and the browser reports no error and nothing that the policy of the page forbids.
func TestPages(t *testing.T) {
	b := startBrowser(t)
	sizes := []int{0, 30}
	if os.Getenv(million) == "1" {
		sizes = append(sizes, 1_000_000)
	}
	for _, mail := range sizes {
		t.Run(fmt.Sprintf("%d messages", mail), func(t *testing.T) {
			b.t = t
			dir := t.TempDir()
			if mail == 1_000_000 {
				store(t, dir, mail)
				mail = 30 // and these
			}
			w := newWorld(t, dir)
			w.fill(mail)
			b.open(w.login)
			for _, path := range w.pages(b) {
				for _, l := range looks() {
					b.look(l.width, l.scheme)
					b.inspect(w.console + path)
					if dir := os.Getenv(screenshots); dir != "" {
						file := strings.Trim(strings.NewReplacer("/", "_", "?", "_", "%", "_").Replace(path), "_")
						b.screenshot(filepath.Join(dir, fmt.Sprintf("%s-%d-%d-%s.png", file[:min(len(file), 40)], mail, l.width, l.scheme)))
					}
				}
			}
		})
	}
}

// A look is the width of the window and the color scheme.
type look struct {
	width  int64
	scheme string
}

// looks returns those in which the pages are inspected. The layout depends on the
// width and the contrast on the scheme, so two cover all faults. Screenshots are made
// of all four.
func looks() []look {
	all := []look{{1280, "light"}, {400, "dark"}}
	if os.Getenv(screenshots) != "" {
		all = append(all, look{1280, "dark"}, look{400, "light"})
	}
	return all
}

// inspect opens a page and reports its faults.
func (b *browser) inspect(url string) {
	b.t.Helper()
	b.takeComplaints()
	b.open(url)
	for _, f := range b.faults() {
		b.t.Errorf("%s: %s", url, f)
	}
	if n := b.overflow(); n > 0 {
		b.t.Errorf("%s: %d pixels wider than the window", url, n)
	}
	for _, c := range b.takeComplaints() {
		b.t.Errorf("%s: %s", url, c)
	}
}

// store writes messages for 100,000 next hops, which wait for an hour, to the spool.
func store(t *testing.T, dir string, n int) {
	t.Helper()
	s, err := spool.Open(filepath.Join(dir, "spool"), nil)
	if err != nil {
		t.Fatal(err)
	}
	content, now := queue.String("Subject: Lunch\r\n\r\nAt noon?\r\n"), time.Now()
	put := func(i int) error {
		hop := queue.NextHop{Connector: "partner", Destination: fmt.Sprintf("host%d.example", i%100_000)}
		received := now.Add(-time.Duration(i) * 50 * time.Millisecond)
		m := &queue.Message{ID: fmt.Sprintf("%08d", n-i), From: fmt.Sprintf("alice%d@example.com", i), Recipients: queue.Rcpt("bob@" + hop.Destination), Content: content, Received: received}
		return s.Put(t.Context(), m, queue.Schedule{Hop: hop, Due: now.Add(time.Hour), Wait: time.Hour})
	}
	var writers errgroup.Group // concurrent, so that they share the commits
	writers.SetLimit(500)
	for i := range n {
		writers.Go(func() error { return put(i) })
	}
	if err := errors.Join(writers.Wait(), s.Close()); err != nil {
		t.Fatal(err)
	}
}

// fill gives the relay n messages, with every state that a message can have.
func (w *world) fill(n int) {
	if n == 0 {
		return
	}
	client := smtptest.TalkOn(w.t, w.dial(), "S: 220\nC: EHLO client.example\nS: 250\nC: MAIL FROM:<alice@sender.example>\nS: 250\nC: RCPT TO:<alice@example.com>\nS: 250\n")
	w.t.Cleanup(func() { client.Close() })
	hostile := "<img src=x onerror=alert(1)> \u202egpj.exe \u00e9\u4e2d\u6587"
	w.send("bounce@sender.example", "To an unknown user", "unknown@example.com")
	w.send("", "Cannot be reported", "unknown@example.com")
	for i := range n {
		switch i % 3 {
		case 0:
			w.send(fmt.Sprintf("user%d@sender.example", i), hostile, fmt.Sprintf("bob%d@partner.example", i), "full@example.com")
		case 1:
			w.send("alice@sender.example", fmt.Sprintf("Report %d", i), fmt.Sprintf("carol@branch%d.partner.example", i))
		case 2:
			w.send("alice@sender.example", fmt.Sprintf("Invoice %d", i), "alice@example.com")
		}
	}
	peers.Await(w.t, "delivered and deferred", func() bool {
		infos, err := w.queue.Queues(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		return slices.ContainsFunc(infos, func(i queue.QueueInfo) bool { return i.Status == queue.QueueRetry })
	})
	for m, err := range w.queue.Messages(w.t.Context(), queue.Filter{}) {
		if err != nil {
			w.t.Fatal(err)
		}
		w.nodes.Lease(m.ID, "relay-2")
	}
	w.blocks.Block(netip.MustParseAddr("2001:db8:1234:5678::1"), time.Hour)
	if err := w.tracing.Start("david.with.a.long.name@subsidiary.example.com", time.Hour); err != nil {
		w.t.Fatal(err)
	}
	operator := queue.WithOperator(w.t.Context(), "admin", "the partner moves")
	if _, err := w.queue.Suspend(operator, queue.Suspension{Domain: "branch1.partner.example", Until: time.Now().Add(time.Hour)}); err != nil {
		w.t.Fatal(err)
	}
}

// pages returns the paths of all pages. Those with an ID show the first queue and
// the first message.
func (w *world) pages(b *browser) []string {
	b.t.Helper()
	var doc struct {
		Paths map[string]map[string]struct {
			Responses map[string]struct {
				Content map[string]struct{ Schema json.RawMessage }
			}
		}
	}
	b.fetch(w.console+"/api/v1/openapi.json", &doc)
	var pages []string
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		get, is := doc.Paths[path]["get"]
		if !is || get.Responses["200"].Content["application/json"].Schema == nil {
			continue // not a view, which is a page and JSON
		}
		if !strings.Contains(path, "{id}") {
			pages = append(pages, path)
			continue
		}
		list, _, _ := strings.Cut(path, "/{id}")
		if first := b.first(w.console+list, list); first != "" {
			pages = append(pages, first)
		}
	}
	if len(pages) < 7 {
		b.t.Fatalf("only the pages %v", pages)
	}
	return pages
}

// first returns the path of the first page that the list links to.
func (b *browser) first(page, list string) string {
	b.t.Helper()
	b.open(page)
	links := get(b, "links", chromedp.Evaluate[[]string]("Array.from(document.querySelectorAll('main tbody a'), a => a.href)"))
	for _, link := range links {
		if u, err := url.Parse(link); err == nil && strings.HasPrefix(u.EscapedPath(), list+"/") {
			return u.RequestURI()
		}
	}
	return ""
}

// fetch reads JSON with the cookies of the browser.
func (b *browser) fetch(url string, to any) {
	b.t.Helper()
	text := get(b, "fetch "+url, chromedp.Evaluate[string](fmt.Sprintf("fetch(%q, {headers: {Accept: 'application/json'}}).then(r => r.text())", url), chromedp.EvalAwaitPromise))
	if err := json.Unmarshal([]byte(text), to); err != nil {
		b.t.Fatalf("%s: %v\n%.500s", url, err, text)
	}
}
