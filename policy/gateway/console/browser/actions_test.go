package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// An action is one thing that an operator can do on a page.
type action struct {
	page string // of the console
	box  string // the label of the checkbox to select, if not empty
	// choice is the CSS selector of a selection or a field on the page, and value its
	// value.
	choice, value string
	// button is the CSS selector of the button.
	button string
	// fields are the values of the fields of the dialog, by their names.
	fields map[string]string
}

// A person does each action of the API on its page, and the relay does what the
// page says. The actions are in the order in which the messages need them.
func TestActions(t *testing.T) {
	b := startBrowser(t)
	w := newWorld(t, t.TempDir())
	b.open(w.login)
	b.look(1280, "light")
	inside := queue.NextHop{Connector: "example.com", Destination: "[" + strings.Replace(w.inside.Addr, ":", "]:", 1)}

	// status awaits the status of a message.
	status := func(id string, want queue.MessageStatus) {
		t.Helper()
		defer func() {
			if t.Failed() {
				m, err := w.queue.Message(context.Background(), id)
				queues, _ := w.queue.Queues(context.Background())
				t.Logf("the message is %+v, %v; the queues are %+v", m, err, queues)
			}
		}()
		peers.Await(t, fmt.Sprintf("%s is %s", id, want), func() bool {
			m, err := w.queue.Message(t.Context(), id)
			return err == nil && m.Status == want
		})
	}
	// gone awaits the end of a message.
	gone := func(id string) {
		t.Helper()
		peers.Await(t, id+" has ended", func() bool {
			_, err := w.queue.Message(t.Context(), id)
			return err == queue.ErrNotFound
		})
	}
	// attempts returns the number of attempts for the first recipient.
	attempts := func(id string) int {
		t.Helper()
		m, err := w.queue.Message(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return m.Recipients[0].Attempts
	}
	awaitAttempts := func(id string, more int) {
		t.Helper()
		peers.Await(t, id+" was attempted", func() bool { return attempts(id) > more })
	}
	messages := func(verb string, id string) action {
		return action{page: "/messages", box: "Select " + id, button: `button[formaction$="messages/` + verb + `"]`}
	}

	full := w.message("full@example.com")       // its mailbox is full
	partner := w.message("bob@partner.example") // its host is down
	status(full, queue.MessageRetry)
	status(partner, queue.MessageRetry)
	hop := w.hopOf(partner)
	done := make(map[string]bool) // paths of the API
	do := func(path string, a action) {
		t.Helper()
		t.Log(path)
		done[path] = true
		b.act(w.console, a)
	}

	before := attempts(full)
	do("/messages/retry", messages("retry", full))
	awaitAttempts(full, before)
	do("/messages/suspend", messages("suspend", full))
	status(full, queue.MessageSuspended)
	do("/messages/resume", messages("resume", full))
	status(full, queue.MessageRetry)
	before = attempts(full)
	do("/messages/resubmit", messages("resubmit", full))
	awaitAttempts(full, before)

	redirect := messages("redirect", partner)
	redirect.fields = map[string]string{"to-connector": inside.Connector, "to-destination": inside.Destination}
	do("/messages/redirect", redirect)
	gone(partner)
	if m := w.inside.Inbox.Next(t); m.Recipients[0].Addr != "bob@partner.example" {
		t.Errorf("redirected to %s", m.Recipients[0].Addr)
	}

	remove := messages("remove", full)
	remove.button += `[name="report"]`
	do("/messages/remove", remove)
	gone(full)
	w.awaitReport("full@example.com")
	expired := w.message("carol@partner.example")
	do("/messages/expire", messages("expire", expired))
	gone(expired)
	w.awaitReport("carol@partner.example")

	// Bad mail: it is released, comes back as another message, and is dropped.
	w.send("", "Cannot be reported", "unknown@example.com")
	bad := w.awaitBadMail()
	b.act(w.console, action{page: "/bad", box: "Select " + bad, button: `button[formaction$="messages/resubmit"]`})
	gone(bad)
	bad = w.awaitBadMail()
	b.act(w.console, action{page: "/bad", box: "Select " + bad, button: `button[formaction$="messages/remove"]`})
	gone(bad)

	// The queue of the partner.
	queues := func(verb string) action {
		return action{page: "/queues", box: "Select " + hop.Destination, button: `button[formaction$="queues/` + verb + `"]`}
	}
	waiting := w.message("dave@partner.example")
	suspended := func(want bool) {
		t.Helper()
		all, err := w.queue.Suspensions(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := len(all) == 1 && all[0].Hop == hop; got != want {
			t.Errorf("suspensions %v, want one: %t", all, want)
		}
		if want && (all[0].Reason != "test of suspend" || all[0].By == "") {
			t.Errorf("suspension %+v", all[0])
		}
	}
	suspend := queues("suspend")
	suspend.fields = map[string]string{"reason": "test of suspend"}
	do("/queues/suspend", suspend)
	suspended(true)
	do("/queues/resume", queues("resume"))
	suspended(false)
	b.act(w.console, suspend)
	suspended(true)
	do("/suspensions/lift", action{page: "/suspensions", button: `form[action$="suspensions/lift"] button`})
	suspended(false)
	before = attempts(waiting)
	do("/queues/retry", queues("retry"))
	awaitAttempts(waiting, before)
	move := queues("redirect")
	move.fields = redirect.fields
	do("/queues/redirect", move)
	gone(waiting)
	if m := w.inside.Inbox.Next(t); m.Recipients[0].Addr != "dave@partner.example" {
		t.Errorf("redirected to %s", m.Recipients[0].Addr)
	}
	removed := w.message("eve@partner.example")
	reports := w.queue.Counters().Reports["failed"]
	drop := queues("remove")
	drop.button += `:not([name])`
	do("/queues/remove", drop)
	gone(removed)
	if n := w.queue.Counters().Reports["failed"] - reports; n != 0 {
		t.Errorf("%d reports about mail that was removed without one", n)
	}

	// A message that was exported with its envelope.
	file := filepath.Join(t.TempDir(), "message.eml")
	exported := "X-Sender: <alice@example.com>\r\nX-Receiver: <frank@partner.example>\r\nX-EndOfInjectedXHeaders: 1\r\nSubject: Hello\r\n\r\nHello\r\n"
	if err := os.WriteFile(file, []byte(exported), 0o600); err != nil {
		t.Fatal(err)
	}
	done["/replay"] = true
	b.open(w.console + "/messages")
	b.do("the file", chromedp.SendKeys(chromedp.CSS(`input[type="file"]`), file))
	b.do("the reason", chromedp.SendKeys(chromedp.CSS(`#replay-reason`), "test"))
	if status := b.load("replay", chromedp.Click(chromedp.CSS(`form[action$="replay"] button`))); status != 200 {
		t.Fatalf("replay: status %d\n%s", status, b.text())
	}
	peers.Await(t, "the replayed message is in the queue", func() bool {
		n, err := w.queue.Count(t.Context(), queue.Filter{Recipient: "frank@partner.example"}, queue.SearchLimits{})
		return err == nil && n.Messages == 1
	})

	client := smtptest.TalkOn(t, w.dial(), "S: 220\nC: EHLO client.example\nS: 250\n")
	defer client.Close()
	session := w.relay.LiveSessions().Sessions()[0]
	do("/sessions/end", action{page: "/sessions?address=127.0.0.1&state=helo", button: `button[aria-label="End ` + session.ID + `"]`})
	smtptest.TalkOn(t, client, "S: 421\n")
	do("/loglevels", action{page: "/loglevels", choice: `select[aria-label="Level of queue"]`, value: "warn", button: `button[aria-label="Change queue"]`})
	if level := w.relay.Levels()["queue"].Level(); level != slog.LevelWarn {
		t.Errorf("level %s", level)
	}

	do("/pause", action{page: "/overview", button: `form[action$="/pause"]:has(input[value="sending"]) button`})
	if !w.queue.State().Paused {
		t.Error("sending is not paused")
	}
	do("/continue", action{page: "/overview", button: `form[action$="/continue"] button`})
	if w.queue.State().Paused {
		t.Error("sending is paused")
	}

	// A client that is blocked because of its reputation.
	w.blocks.Block(netip.MustParseAddr("192.0.2.66"), time.Hour)
	do("/blocks/unblock", action{page: "/blocks", button: `button[aria-label="Unblock 192.0.2.66"]`})
	if left := w.blocks.Blocks(); len(left) != 0 {
		t.Errorf("still blocked: %v", left)
	}

	do("/tracing", action{page: "/tracing", choice: "#sender", value: "david@example.com", button: `form[action$="tracing"] button`})
	if st := w.tracing.Status(); st.Sender != "david@example.com" || st.Ended != "" || !strings.HasPrefix(b.row("david@example.com"), "david@example.com traced ") {
		t.Errorf("tracing: %+v", st)
	}
	do("/tracing/stop", action{page: "/tracing", button: `form[action$="tracing/stop"] button`})
	if st := w.tracing.Status(); st.Ended == "" {
		t.Errorf("tracing: %+v", st)
	}

	// A node: the store gets the draining, and the page shows it.
	draining := func(node string) queue.Draining {
		t.Helper()
		all, err := w.nodes.Nodes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return all[slices.IndexFunc(all, func(n queue.Node) bool { return n.Name == node })].Draining
	}
	do("/nodes/drain", action{page: "/nodes", button: `button[aria-label="Drain relay-3"]`, fields: map[string]string{"reason": "a new disk"}})
	if d := draining("relay-3"); d.Reason != "a new disk" || d.By == "" || d.Off {
		t.Errorf("draining: %+v", d)
	}
	if row := b.row("relay-3"); !strings.HasPrefix(row, "relay-3 silent draining 20") || !strings.Contains(row, "by token since") || !strings.Contains(row, "a new disk") {
		t.Errorf("the row of the node: %s", row)
	}
	do("/nodes/undrain", action{page: "/nodes", button: `button[aria-label="Undrain relay-3"]`})
	if d := draining("relay-3"); d != (queue.Draining{}) {
		t.Errorf("draining: %+v", d)
	}
	if row := b.row("relay-3"); strings.Contains(row, "draining") {
		t.Errorf("the row of the node: %s", row)
	}

	// Those that change nothing show their result at once.
	report := func(path, page, want string, steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		done[path] = true
		b.open(w.console + page)
		if status := b.load(path, steps...); status != 200 {
			t.Fatalf("%s: status %d\n%s", path, status, b.text())
		}
		if text := b.text(); !strings.Contains(text, want) {
			t.Errorf("%s: the page has no %q:\n%s", path, want, text)
		}
		for _, f := range b.faults() {
			t.Errorf("%s: %s", path, f)
		}
	}
	report("/check", "/check", "smart host", chromedp.Click(chromedp.CSS(`form[action$="check"] button`)))
	report("/probe", "/connectors", "connection refused",
		chromedp.SendKeys(chromedp.CSS("#to"), "bob@partner.example"), chromedp.Click(chromedp.CSS(`button[formaction$="probe"]`)))
	report("/compare", "/connectors", "partner.example", chromedp.Click(chromedp.CSS(`form[action$="compare"] button`)))

	for _, path := range w.posts(b) {
		if !done[path] {
			t.Errorf("the action %s was not tried", path)
		}
	}
}

// An action works without the script of the page: the confirmation is a page.
func TestActionWithoutScript(t *testing.T) {
	b := startBrowser(t)
	w := newWorld(t, t.TempDir())
	b.open(w.login)
	if _, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	id := w.message("full@example.com")
	b.load("messages", chromedp.Navigate(w.console+"/messages"))
	b.do("select", chromedp.Click(chromedp.CSS(`input[aria-label="Select `+id+`"]`)))
	b.load("suspend", chromedp.Click(chromedp.CSS(`button[formaction$="messages/suspend"]`)))
	b.do("reason", chromedp.SendKeys(chromedp.CSS(`input[name="reason"]`), "no script"))
	b.load("confirm", chromedp.Click(chromedp.CSS(`button.primary`)))
	if m, err := w.queue.Message(t.Context(), id); err != nil || m.Status != queue.MessageSuspended {
		t.Errorf("%v %v", m, err)
	}
	if text := get(b, "text", chromedp.Text(chromedp.CSS("main"))); !strings.Contains(text, "no script") {
		t.Errorf("the page does not show the reason:\n%s", text)
	}
}

// act does an action: it selects, clicks, and confirms with a reason in the dialog.
// The page afterwards must say that it was done.
func (b *browser) act(console string, a action) {
	b.t.Helper()
	b.open(console + a.page)
	if a.box != "" {
		b.do("select "+a.box, chromedp.Click(chromedp.CSS(`input[aria-label^="`+a.box+`"]`)))
	}
	if a.choice != "" {
		b.do("choose "+a.value, chromedp.SetValue(chromedp.CSS(a.choice), a.value))
	}
	b.do("click "+a.button, chromedp.Click(chromedp.CSS(a.button)), chromedp.WaitVisible(chromedp.CSS("dialog button.primary")))
	for _, f := range b.faults() {
		b.t.Errorf("the dialog of %s: %s", a.button, f)
	}
	fields := map[string]string{"reason": "test"}
	maps.Copy(fields, a.fields)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		b.do("field "+name, chromedp.SendKeys(chromedp.CSS(`dialog input[name="`+name+`"]`), fields[name]))
	}
	if status := b.load("confirm "+a.button, chromedp.Click(chromedp.CSS("dialog button.primary"))); status != 200 {
		b.t.Fatalf("%s: status %d\n%s", a.button, status, b.text())
	}
	if note := get(b, "note", chromedp.Text(chromedp.CSS("div.note"))); !strings.Contains(note, "Done") || !strings.Contains(note, fields["reason"]) {
		b.t.Fatalf("%s: the page shows %q", a.button, note)
	}
}

// row returns the text of the first row of a table whose text begins with first.
func (b *browser) row(first string) string {
	b.t.Helper()
	return get(b, "row", chromedp.Evaluate[string](fmt.Sprintf(
		"Array.from(document.querySelectorAll('tbody tr')).find(r => r.innerText.startsWith(%q)).innerText.replaceAll(/\\s+/g, ' ')", first)))
}

// posts returns the paths of all actions of the API.
func (w *world) posts(b *browser) []string {
	b.t.Helper()
	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	b.fetch(w.console+"/api/v1/openapi.json", &doc)
	var paths []string
	for path, methods := range doc.Paths {
		if methods["post"] != nil {
			paths = append(paths, path)
		}
	}
	if len(paths) < 12 {
		b.t.Fatalf("only the actions %v", paths)
	}
	slices.Sort(paths)
	return paths
}

// message sends a message to a recipient and returns its ID.
func (w *world) message(to string) (id string) {
	w.t.Helper()
	w.send("alice@example.com", "Hello", to)
	for m, err := range w.queue.Messages(w.t.Context(), queue.Filter{Recipient: to}) {
		if err != nil {
			w.t.Fatal(err)
		}
		id = m.ID
	}
	if id == "" {
		w.t.Fatalf("no message to %s in the queue", to)
	}
	return id
}

// awaitBadMail waits for a message of bad mail and returns its ID.
func (w *world) awaitBadMail() (id string) {
	w.t.Helper()
	peers.Await(w.t, "bad mail", func() bool {
		for m, err := range w.queue.Messages(w.t.Context(), queue.Filter{Status: queue.MessageBad}) {
			if err != nil {
				w.t.Fatal(err)
			}
			id = m.ID
		}
		return id != ""
	})
	return id
}

// hopOf returns the next hop that a message waits for.
func (w *world) hopOf(id string) queue.NextHop {
	w.t.Helper()
	m, err := w.queue.Message(w.t.Context(), id)
	if err != nil || len(m.Hops) != 1 {
		w.t.Fatalf("%+v, %v", m, err)
	}
	return m.Hops[0]
}

// awaitReport waits for the report about a recipient that the server inside gets.
func (w *world) awaitReport(recipient string) {
	w.t.Helper()
	for !strings.Contains(w.inside.Inbox.Next(w.t).Text, "Final-Recipient: rfc822; "+recipient) {
	}
}
