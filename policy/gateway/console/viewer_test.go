package console

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/tracking"
)

// A viewer sees no content, no account names and, with HideSubjects, no subjects,
// on any route; and can change nothing.
func TestViewersSeeNoSecrets(t *testing.T) {
	log := &tracking.Log{Dir: t.TempDir()}
	role := Viewer
	c := &Console{HideSubjects: true, Authorize: func(*http.Request) (Access, error) { return Access{"vera", role}, nil }}
	inWorld(t, c, func(w *world) {
		w.token = ""
		w.console.Gateway.Tracking = log
		events := w.queue.Subscribe(0)
		written := make(chan error)
		go func() { written <- log.Write(events) }()
		m := mail("bob@slow.example")
		m.Content = queue.String("Received: from laptop (account-of-alice) by mail.example.org; Sat, 28 Nov 2026 21:58:00 +0000\r\nX-Secret: secret-field\r\nSubject: secret-subject\r\n\r\nsecret-body\r\n")
		m.Origin.Identity = "account-of-alice"
		w.submit(m)
		time.Sleep(time.Second)
		fill := func(path string) string {
			if strings.HasPrefix(path, "/queues/{id}") {
				return strings.ReplaceAll(path, "{id}", url.PathEscape("internet:slow.example"))
			}
			return strings.ReplaceAll(path, "{id}", m.ID)
		}
		seen := map[string]bool{}
		for _, r := range w.console.router.routes {
			if r.bound == boundStream {
				continue // its totals are on the page Overview
			}
			for _, prefix := range []string{"", apiPrefix} {
				path := prefix + fill(r.path)
				var body string
				if r.method == http.MethodPost {
					answer := w.send(path, form("id", m.ID, "confirm", "yes", "reason", "test"))
					if body = answer.Body.String(); answer.Code != http.StatusForbidden {
						t.Errorf("POST %s: %d", path, answer.Code)
					}
				} else {
					request := httpGet(path)
					request.Header.Set("Accept", "text/html")
					answer := w.do(request)
					if want := map[bool]int{true: 403, false: 200}[r.role == Operator]; answer.Code != want {
						t.Errorf("GET %s: %d, want %d", path, answer.Code, want)
					}
					body = answer.Body.String()
				}
				for _, secret := range []string{"secret-", "account-of-alice"} {
					if strings.Contains(body, secret) {
						t.Errorf("%s %s shows %s to a viewer", r.method, path, secret)
					}
				}
				seen[path] = true
			}
		}
		if len(seen) < 40 {
			t.Errorf("only %d requests", len(seen))
		}
		// A search would tell the subject letter by letter.
		w.page("/messages?subject=secret*", 403)
		w.page("/messages?subject=other*", 403)
		w.page("/tracking?subject=secret*", 403)
		role = Operator
		page := w.page("/messages/"+m.ID, 200)
		for _, part := range []string{"secret-subject", "account-of-alice", "/content"} {
			if !strings.Contains(page, part) {
				t.Errorf("an operator does not see %s", part)
			}
		}
		events.Close()
		if err := <-written; err != nil {
			t.Error(err)
		}
		w.console.Gateway.Tracking = nil
	})
}
