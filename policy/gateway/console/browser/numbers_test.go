package browser

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// The numbers of the pages are those of what the relay did. The test knows them from
// the messages that it sends and from the mail that the server inside receives. The
// numbers of the overview follow while the page is open.
func TestNumbers(t *testing.T) {
	b := startBrowser(t)
	w := newWorld(t, t.TempDir())
	b.open(w.login)
	b.look(1280, "light")
	began := time.Now().Truncate(time.Second)
	for range 3 {
		w.send("alice@sender.example", "delivered", "alice@example.com")
	}
	for range 2 {
		w.send("alice@sender.example", "deferred", "full@example.com")
	}
	w.send("alice@sender.example", "host is down", "bob@partner.example")
	peers.Await(t, "the next hop is not reached", func() bool { // the second message must not be attempted too
		infos, err := w.queue.Queues(t.Context())
		return err == nil && slices.ContainsFunc(infos, func(i queue.QueueInfo) bool { return i.Status == queue.QueueRetry })
	})
	w.send("alice@sender.example", "host is down", "bob@partner.example")
	// The report about this message waits, because no connector serves sender.example.
	w.send("bounce@sender.example", "fails", "unknown@example.com")
	peers.Await(t, "all attempts", func() bool {
		n := w.queue.Counters().Recipients
		return n["delivered"] == 3 && n["failed"] == 1 && n["deferred"] == 4
	})
	if n := w.inside.Inbox.Len(); n != 3 {
		t.Fatalf("the server inside has %d messages", n)
	}

	var size, largest int64
	for m, err := range w.queue.Messages(t.Context(), queue.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		size, largest = size+m.Size, max(largest, m.Size)
	}
	b.open(w.console + "/overview") // its numbers may be two seconds old, and follow
	peers.Await(t, "the page shows all messages", func() bool { return b.number("number", "messages") == "5" })
	b.wantNumbers("overview", map[string]string{
		"messages": "5", "waiting": "4", "queues": "3", "queuesInRetry": "1", "suspended": "0", "poison": "0", "badMail": "0",
		"accepted": "8", "delivered": "3", "deferred": "4", "failed": "1",
	})
	if got, want := b.number("bytes", "bytes"), fmt.Sprintf("%.2f KiB", float64(size)/1024); got != want {
		t.Errorf("size %s, want %s", got, want)
	}

	// The page follows.
	w.send("alice@sender.example", "delivered later", "alice@example.com")
	peers.Await(t, "the page shows the message", func() bool { return b.number("number", "accepted") == "9" && b.number("number", "delivered") == "4" })

	// The rows of the queues.
	inside, partner := w.hop("full@example.com"), w.hop("bob@partner.example")
	var queues struct {
		Queues []struct {
			Destination                                               string
			Messages, Deferred, Deliveries                            int
			RecipientsDelivered, RecipientsDeferred, RecipientsFailed int
			Attempts                                                  int
			Bytes                                                     int64
			Oldest                                                    time.Time
		}
		Total int
	}
	b.fetch(w.console+"/queues", &queues)
	rows := make(map[string]string)
	for _, q := range queues.Queues {
		rows[q.Destination] = fmt.Sprintf("%d messages, %d deferred; recipients %d delivered, %d deferred, %d failed; %d attempts", q.Messages, q.Deferred, q.RecipientsDelivered, q.RecipientsDeferred, q.RecipientsFailed, q.Attempts)
		if q.Messages > 0 && (q.Oldest.Before(began) || q.Oldest.After(time.Now())) {
			t.Errorf("%s: oldest %s", q.Destination, q.Oldest)
		}
	}
	for destination, want := range map[string]string{
		inside.Destination:  "2 messages, 2 deferred; recipients 4 delivered, 2 deferred, 1 failed; 7 attempts",
		partner.Destination: "2 messages, 1 deferred; recipients 0 delivered, 1 deferred, 0 failed; 1 attempts",
	} {
		if rows[destination] != want {
			t.Errorf("%s:\ngot  %s\nwant %s", destination, rows[destination], want)
		}
	}
	b.open(w.console + "/queues")
	cells := get(b, "cells", chromedp.Evaluate[[]string]("Array.from(document.querySelectorAll('tbody tr'), r => r.innerText.replaceAll('\\t', ' '))"))
	if len(cells) != queues.Total || !slices.ContainsFunc(cells, func(row string) bool {
		return strings.Contains(row, partner.Destination) && strings.Contains(row, "connection refused")
	}) {
		t.Errorf("%d queues:\n%s", queues.Total, strings.Join(cells, "\n"))
	}

	// The counts of the filters.
	for filter, want := range map[string]int{
		"": 5, "status=suspended": 0, "recipient=full@example.com": 2, "recipient=FULL@example.com": 2, "recipient=*partner.example": 2, "sender=alice@sender.example": 4,
		"subject=*down*": 2, "max-size=" + strconv.FormatInt(largest-1, 10): 4, "min-size=" + strconv.FormatInt(largest, 10): 1,
		"since=" + began.UTC().Format("2006-01-02T15:04:05Z"): 5, "before=" + began.UTC().Format("2006-01-02T15:04:05Z"): 0,
	} {
		b.open(w.console + "/messages?" + filter)
		if n := get(b, "rows", chromedp.Evaluate[int]("document.querySelectorAll('main tbody tr').length")); n != want {
			t.Errorf("messages?%s: %d rows, want %d", filter, n, want)
		}
	}

	// The nodes.
	b.open(w.console + "/nodes")
	for node, want := range map[string]string{
		"relay-1": "relay-1 (this node) alive 12 345 2 s ago", "relay-2": "relay-2 alive draining 321 4 s ago", "relay-3": "relay-3 silent 20 12 s ago",
		"relay-4": "relay-4 dead 0 3 min ago", "relay-5": "relay-5 stopped 0 1 h ago",
	} {
		if row := b.row(node); !strings.HasPrefix(row, want) {
			t.Errorf("%q, want %q", row, want)
		}
	}
	id := w.id("bob@partner.example")
	w.nodes.Lease(id, "relay-2")
	b.open(w.console + "/messages/" + id)
	if text := b.text(); !strings.Contains(text, "Leased by the node\nrelay-2") {
		t.Errorf("the page does not have the node of the message:\n%s", text)
	}

	// The table of ages counts recipients that wait.
	b.open(w.console + "/age")
	if total := get(b, "total", chromedp.Text(chromedp.CSS("tbody tr"))); !strings.HasPrefix(strings.Join(strings.Fields(total), " "), "Total 5 5 0") {
		t.Errorf("age: %q", total)
	}
}

// wantNumbers compares the numbers of the page that have names.
func (b *browser) wantNumbers(page string, want map[string]string) {
	b.t.Helper()
	for name, text := range want {
		if got := b.number("number", name); got != text {
			b.t.Errorf("%s: %s is %q, want %s", page, name, got, text)
		}
	}
}

// number returns the text of the element whose attribute data-KIND is the name.
func (b *browser) number(kind, name string) string {
	b.t.Helper()
	return get(b, name, chromedp.Evaluate[string](fmt.Sprintf("document.querySelector('[data-%s=%q]').innerText", kind, name)))
}

// id returns the ID of a message to a recipient.
func (w *world) id(recipient string) string {
	w.t.Helper()
	for m, err := range w.queue.Messages(w.t.Context(), queue.Filter{Recipient: recipient}) {
		if err != nil {
			w.t.Fatal(err)
		}
		return m.ID
	}
	w.t.Fatalf("no message to %s", recipient)
	return ""
}

// hop returns the next hop of the messages to a recipient.
func (w *world) hop(recipient string) queue.NextHop {
	w.t.Helper()
	for m, err := range w.queue.Messages(w.t.Context(), queue.Filter{Recipient: recipient}) {
		if err != nil {
			w.t.Fatal(err)
		}
		return m.Hops[0]
	}
	w.t.Fatalf("no message to %s", recipient)
	return queue.NextHop{}
}
