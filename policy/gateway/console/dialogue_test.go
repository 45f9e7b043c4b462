package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/live"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// A watcher is a client of /sessions/watch.
type watcher struct {
	*httptest.ResponseRecorder
	mu   sync.Mutex // guards Body
	stop func()
	done chan struct{} // closed when the stream has ended
}

func (v *watcher) Write(p []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.ResponseRecorder.Write(p)
}

// text returns what the client has got.
func (v *watcher) text() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.Body.String()
}

// watch begins to watch sessions.
func (w *world) watch(query string) *watcher { return w.watchTo(query, nil) }

// watchTo is watch with a client that reads through gate, if it is not nil.
func (w *world) watchTo(query string, gate *gatedWriter) *watcher {
	ctx, cancel := context.WithCancel(w.t.Context())
	r := httpGet(apiPrefix + "/sessions/watch?" + query).WithContext(ctx)
	if w.token != "" {
		r.Header.Set("Authorization", "Bearer "+w.token)
	}
	v := &watcher{ResponseRecorder: httptest.NewRecorder(), stop: cancel, done: make(chan struct{})}
	var to http.ResponseWriter = v
	if gate != nil {
		gate.watcher, to = v, gate
	}
	go func() {
		defer close(v.done)
		w.console.ServeHTTP(to, r)
	}()
	synctest.Wait()
	return v
}

// lines returns the lines of the dialogue, and what the last event says.
func (v *watcher) lines(t *testing.T) (text, end string) {
	t.Helper()
	for event := range strings.SplitSeq(v.text(), "\n\n") {
		kind, data, _ := strings.Cut(event, "\ndata: ")
		switch kind {
		case "event: line":
			var l dialogueLine
			if err := json.Unmarshal([]byte(data), &l); err != nil {
				t.Fatal(err)
			}
			text += l.Side + l.Kind + l.Text + "\n"
		case "event: end":
			var e endOfStream
			if err := json.Unmarshal([]byte(data), &e); err != nil {
				t.Fatal(err)
			}
			end = e.Reason
		default:
			if !strings.HasPrefix(event, ":") && event != "" {
				t.Errorf("event %q", event)
			}
		}
	}
	return text, end
}

// inOrder reports an error unless the text has the parts in this order.
func inOrder(t *testing.T, text string, parts ...string) {
	t.Helper()
	rest := text
	for _, part := range parts {
		_, after, found := strings.Cut(rest, part)
		if !found {
			t.Errorf("%q is missing, or not in order, in\n%s", part, text)
			return
		}
		rest = after
	}
}

// A watch of a session that already runs begins with its banner, goes on with each
// line, and ends with the session. It has no credentials.
func TestWatchOneSession(t *testing.T) {
	withSlowHost(t, &Console{}, func(w *world, release func()) {
		client := w.dial("192.0.2.7:1025")
		defer client.Close()
		smtptest.TalkOn(t, client, "S: 220\nC: EHLO client.example\nS: 250\nC: AUTH PLAIN AHVzZXIAc3dvcmRmaXNo\nS: 502\n")
		w.submit(mail("bob@example.net"))
		var v sessionsView
		w.get("/sessions", &v)
		in := w.watch("side=in&id=" + v.Sessions[0].ID)
		out := w.watch("id=" + v.Sessions[1].ID) // the side is not needed
		smtptest.TalkOn(t, client, "C: MAIL FROM:<alice@example.com>\nS: 250\nC: QUIT\nS: 221\n")
		release()
		<-in.done
		text, end := in.lines(t)
		inOrder(t, text, "in+", "in>220 ", "in<EHLO client.example\n", "in>250", "in<AUTH PLAIN", "in>5", "in<MAIL FROM:<alice@example.com>\n", "in<QUIT\n", "in>221", "in-")
		if strings.Contains(text, "AHVzZXIA") || end != "The session has ended." {
			t.Errorf("end %q\n%s", end, text)
		}
		if in.Header().Get("Content-Type") != "text/event-stream" || in.Code != 200 {
			t.Errorf("%d %v", in.Code, in.Header())
		}
		synctest.Wait()
		if text, end := out.lines(t); end != "" {
			t.Errorf("the session is kept for the next message, but: %q\n%s", end, text)
		} else {
			inOrder(t, text, "out+", "out<220", "out>EHLO", "out>RCPT TO:<bob@example.net>", "out>DATA", "out<250", "out<354")
		}
		time.Sleep(time.Minute) // an idle session ends
		<-out.done
		text, end = out.lines(t)
		inOrder(t, text, "out<354", "out>QUIT", "out-")
		if end != "The session has ended." {
			t.Errorf("end %q", end)
		}
		answer := w.do(httpGet(apiPrefix + "/sessions/watch?id=" + v.Sessions[0].ID))
		if answer.Code != 404 || answer.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("a session that has ended: %d %s", answer.Code, answer.Body)
		}
	})
}

// A watch of a connector or a network sees each new session from its banner on,
// until the time of the stream has ended or the client leaves.
func TestWatchManySessions(t *testing.T) {
	withSlowHost(t, &Console{}, func(w *world, release func()) {
		release()
		watchers := map[string]*watcher{}
		for _, query := range []string{"", "side=in", "side=out", "connector=receive", "connector=internet", "network=192.0.2.7", "network=192.0.2.24/30", "connector=none"} {
			watchers[query] = w.watch(query)
		}
		client := w.dial("192.0.2.7:1025")
		smtptest.TalkOn(t, client, "S: 220\nC: EHLO client.example\nS: 250\nC: QUIT\nS: 221\n").Close()
		w.submit(mail("bob@example.net"))
		for query, want := range map[string][2]bool{
			"": {true, true}, "side=in": {true, false}, "side=out": {false, true}, "connector=receive": {true, false}, "connector=internet": {false, true},
			"network=192.0.2.7": {true, false}, "network=192.0.2.24/30": {false, true}, "connector=none": {false, false},
		} {
			text, _ := watchers[query].lines(t)
			if want[0] {
				inOrder(t, text, "in+", "in>220", "in<EHLO client.example", "in<QUIT", "in-")
			}
			if want[1] {
				inOrder(t, text, "out+", "out<220", "out>MAIL FROM:<alice@example.com>", "out<354")
			}
			if got := [2]bool{strings.Contains(text, "in>"), strings.Contains(text, "out>")}; got != want {
				t.Errorf("%q: %v, want %v\n%s", query, got, want, text)
			}
		}
		watchers["side=in"].stop()
		<-watchers["side=in"].done
		time.Sleep(streamTime)
		for query, v := range watchers {
			<-v.done
			_, end := v.lines(t)
			if want := "This view has ended after 10 min. Reload the page to go on."; query != "side=in" && end != want {
				t.Errorf("%q: end %q", query, end)
			}
			v.stop()
		}
		if quiet := strings.Count(watchers["connector=none"].text(), "\n\n:\n\n"); quiet < 19 { // every 15 s; each match has two
			t.Errorf("%d comments keep the connection", quiet)
		}
	})
}

// Watchers that have left keep no place, and those that are there are bounded.
func TestWatchersAreBounded(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		for range 2 * live.MaxWatchers {
			v := w.watch("side=in")
			if v.stop(); v.Code != 200 {
				t.Fatalf("%d", v.Code)
			}
			<-v.done
			synctest.Wait()
		}
		var all []*watcher
		for range live.MaxWatchers {
			all = append(all, w.watch(""))
		}
		if v := w.watch(""); v.Code != 429 || v.Header().Get("Retry-After") == "" {
			t.Errorf("%d %s", v.Code, v.Body)
		}
		for _, v := range all {
			v.stop()
			<-v.done
		}
		for _, query := range []string{"side=up", "network=x", "id=a&connector=b", "id=a&network=192.0.2.1", "peer=a"} {
			if v := w.watch(query); v.Code != 400 {
				t.Errorf("%s: %d", query, v.Code)
			}
			w.page("/sessions/dialogue?"+query, 400)
		}
		w.page("/sessions/dialogue?id=none", 404)
	})
}

// A gatedWriter is a client that does not read until its gate is open.
type gatedWriter struct {
	*watcher
	once    sync.Once
	blocked chan struct{} // closed at the first event
	open    chan struct{}
}

func (g *gatedWriter) Write(p []byte) (int, error) {
	if bytes.HasPrefix(p, []byte("event:")) {
		g.once.Do(func() { close(g.blocked) })
		<-g.open
	}
	return g.watcher.Write(p)
}

// A client that does not read its stream delays no session. It loses lines, and
// sees how many.
func TestSlowWatcher(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		gate := &gatedWriter{blocked: make(chan struct{}), open: make(chan struct{})}
		v := w.watchTo("side=in", gate)
		client := w.dial("192.0.2.7:1025")
		began := time.Now()
		smtptest.TalkOn(t, client, "S: 220\nC: EHLO client.example\nS: 250\n"+strings.Repeat("C: NOOP\nS: 250\n", live.MaxLines)+"C: QUIT\nS: 221\n").Close()
		<-gate.blocked
		if d := time.Since(began); d != 0 {
			t.Errorf("the session has taken %s", d)
		}
		close(gate.open)
		synctest.Wait()
		v.stop()
		<-v.done
		text, _ := v.lines(t)
		inOrder(t, text, "in+", "in>220", "in<NOOP", " lines lost: the watcher is too slow")
	})
}

// The page Dialogue works without a script: it has the lines that sessions have
// kept.
func TestDialoguePage(t *testing.T) {
	withSlowHost(t, &Console{}, func(w *world, release func()) {
		defer release()
		client := w.dial("192.0.2.7:1025")
		defer client.Close()
		smtptest.TalkOn(t, client, "S: 220\nC: EHLO client.example\nS: 250\nC: NOOP <b>\u202e\nS: 250\n")
		w.submit(mail("bob@example.net"))
		var v sessionsView
		w.get("/sessions", &v)
		var one, all dialogueView
		w.get("/sessions/dialogue?side=in&id="+v.Sessions[0].ID, &one)
		if one.Session == nil || one.Session.Name != "client.example" || len(one.Lines) == 0 || one.Lines[0].Kind != "+" || one.Lines[0].Session != v.Sessions[0].ID || one.Lines[0].Remote != "192.0.2.7:1025" {
			t.Errorf("%+v", one)
		}
		w.get("/sessions/dialogue", &all)
		text := ""
		for _, l := range all.Lines {
			text += l.Side + l.Kind + l.Text + "\n"
		}
		inOrder(t, text, "in>220", "in<EHLO client.example", "out<220")
		inOrder(t, text, "out>RCPT TO:<bob@example.net>")
		for query, has := range map[string]string{"side=out": "out", "connector=receive": "in", "network=192.0.2.24/29": "out"} {
			var some dialogueView
			w.get("/sessions/dialogue?"+query, &some)
			for _, l := range some.Lines {
				if l.Side != has {
					t.Errorf("%s: %+v", query, l)
				}
			}
			if len(some.Lines) == 0 {
				t.Errorf("%s: no line", query)
			}
		}
		page := w.page("/sessions/dialogue?id="+url.QueryEscape(v.Sessions[0].ID), 200)
		for _, part := range []string{"&lt; EHLO client.example", "&gt; 220 ", "NOOP &lt;b&gt;", `data-watch="../sessions/watch?id=`, "dialogue.js?v=", `name="side" value="in"`} {
			if !strings.Contains(page, part) {
				t.Errorf("the page has no %q\n%s", part, page)
			}
		}
		if strings.Contains(page, "<b>") || hostile.MatchString(page) {
			t.Error("the page has text of a stranger that is not inert")
		}
	})
}

// The page has the last lines of many sessions only.
func TestDialoguePageIsBounded(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		for i := range maxDialogues + 5 {
			client := w.dial(fmt.Sprintf("198.51.100.%d:1025", i))
			defer client.Close()
			smtptest.TalkOn(t, client, "S: 220\n"+strings.Repeat("C: NOOP\nS: 250\n", 20))
			time.Sleep(time.Second)
		}
		var v dialogueView
		w.get("/sessions/dialogue", &v)
		if last := v.Lines[len(v.Lines)-1]; len(v.Lines) != maxDialogueLines || last.Remote != fmt.Sprintf("198.51.100.%d:1025", maxDialogues+4) {
			t.Errorf("%d lines, the last is %+v", len(v.Lines), last)
		}
	})
}

// Only operators see dialogues and accounts, and only they end sessions.
func TestViewersSeeNoDialogue(t *testing.T) {
	inWorld(t, &Console{Authorize: asViewer}, func(w *world) {
		w.token = ""
		client := smtptest.TalkOn(t, w.dial("192.0.2.7:1025"), "S: 220\nC: EHLO client.example\nS: 250\n")
		defer client.Close()
		id := w.console.Gateway.LiveSessions().Sessions()[0].ID
		page := w.page("/sessions", 200)
		if !strings.Contains(page, "client.example") || strings.Contains(page, "dialogue") || strings.Contains(page, "/end") || strings.Contains(page, "Account") {
			t.Error(page)
		}
		w.page("/sessions/dialogue?id="+id, 403)
		w.page("/sessions/watch?id="+id, 403)
		w.post("/sessions/end", 403, form("side", "in", "id", id, "confirm", "yes", "reason", "x"), nil)
	})
	var x call
	info := live.Info{ID: "1", Identity: "account-of-alice"}
	for role, want := range map[Role]string{Viewer: "", Operator: "account-of-alice"} {
		x.access.Role = role
		if v := x.sessionOf(sideIn, &info); v.Identity != want {
			t.Errorf("%s sees the account %q", role, v.Identity)
		}
	}
}
