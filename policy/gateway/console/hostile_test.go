package console

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/tracking"
)

// A client without access cannot make the console read or parse much.
func TestLoginIsSmall(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		right := w.token
		w.token = ""
		for name, test := range map[string]struct {
			host, body string
			want       int
		}{
			"the token":         {"localhost", form("token", right).Encode(), 303},
			"100,000 fields":    {"localhost", strings.Repeat("a&", 100_000), 413},
			"another host name": {"evil.example", form("token", right).Encode(), 421},
		} {
			r := httpPost("/login", "application/x-www-form-urlencoded", test.body)
			r.Host = test.host
			if answer := w.do(r); answer.Code != test.want {
				t.Errorf("%s: %d, want %d", name, answer.Code, test.want)
			}
		}
		if answer := w.do(httpGet("/?token=" + strings.Repeat("x", maxQuery))); answer.Code != http.StatusRequestURITooLong {
			t.Errorf("a long query: %d", answer.Code)
		}
	})
}

// Another website of the same domain can set a cookie with the name of ours, which
// a browser sends too, perhaps first. It cannot lock the operator out.
func TestCookieOfAnotherWebsite(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		name := w.console.token.cookie
		for cookies, want := range map[string]int{
			name + "=" + w.token:                                 200,
			name + "=wrong; " + name + "=" + w.token:             200,
			name + "=" + w.token + "; " + name + "=wrong":        200,
			name + "=wrong; " + name + "=wrong too":              401,
			"other=" + w.token:                                   401,
			strings.Repeat("x=y; ", 1000) + name + "=" + w.token: 200,
		} {
			r := httpGet("/queues")
			r.Header.Set("Cookie", cookies)
			if answer := w.do(r); answer.Code != want {
				t.Errorf("%.80s: %d, want %d", cookies, answer.Code, want)
			}
		}
	})
}

// A client that reads slowly does not keep others from searching.
func TestSlowClientKeepsNoPlace(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		stop := make(chan struct{})
		ended := make(chan struct{})
		for range 2 * maxAtOnce[boundSearch] {
			r := httpGet(apiPrefix + "/messages")
			r.Header.Set("Authorization", "Bearer "+w.token)
			go func() {
				defer func() { ended <- struct{}{} }()
				w.console.ServeHTTP(&stuckWriter{http.Header{}, stop}, r)
			}()
			synctest.Wait() // until it writes
		}
		w.page("/messages", 200)
		if _, err := w.queue.Do(t.Context(), queue.Filter{}, queue.RetryNow()); err != nil { // nor the queue
			t.Error(err)
		}
		close(stop)
		for range 2 * maxAtOnce[boundSearch] {
			<-ended
		}
	})
}

// A client that saves a message and does not read keeps no lock: the message can be
// removed meanwhile.
func TestSlowExportHoldsNothing(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		m := w.submit(mail("bob@down.example"))
		stop := make(chan struct{})
		ended := make(chan struct{})
		r := httpGet("/messages/" + m.ID + "/content")
		r.Header.Set("Authorization", "Bearer "+w.token)
		go func() {
			defer close(ended)
			w.console.ServeHTTP(&stuckWriter{http.Header{}, stop}, r)
		}()
		synctest.Wait()
		w.post("/messages/remove", 200, form("id", m.ID, "confirm", "yes", "reason", "test"), nil)
		w.submit(mail("bob@slow.example"))
		if n := w.stored(); n != 1 {
			t.Errorf("%d messages", n)
		}
		close(stop)
		<-ended
	})
}

// A stuckWriter is a client that does not read.
type stuckWriter struct {
	header http.Header
	stop   chan struct{}
}

func (s *stuckWriter) Header() http.Header { return s.header }
func (s *stuckWriter) WriteHeader(int)     {}
func (s *stuckWriter) Write([]byte) (int, error) {
	<-s.stop
	return 0, http.ErrHandlerTimeout
}

// HEAD has the header of the answer to GET, and ends, also for a stream.
func TestHead(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		m := w.submit(mail("bob@down.example"))
		for path, kind := range map[string]string{
			"/events": "text/event-stream", "/metrics": "text/plain", "/openapi.json": "application/json", apiPrefix + "/queues": "application/json",
			"/messages/" + m.ID + "/content": "application/octet-stream", "/healthz": "application/json",
		} {
			answer := w.do(httptest.NewRequest("HEAD", "http://127.0.0.1:8025"+path, nil))
			if answer.Code != 200 || !strings.HasPrefix(answer.Header().Get("Content-Type"), kind) {
				t.Errorf("%s: %d %s", path, answer.Code, answer.Header().Get("Content-Type"))
			}
			if strings.HasPrefix(kind, "text/event") && answer.Body.Len() > 0 {
				t.Errorf("%s: %s", path, answer.Body)
			}
		}
	})
}

// Parameters that no handler can use are errors of the client.
func TestHostileParameters(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		w.submit(mail("bob@down.example"))
		long := strings.Repeat("*a", maxValue)
		for query, want := range map[string]int{
			"":                                  200,
			"recipient=" + long[:maxValue]:      200,
			"recipient=" + long:                 400,
			"label=a%3D" + long:                 400,
			"after=%00%ff%0d%0a":                200,
			"after=zzzz":                        200,
			"limit=1000000000":                  400,
			"limit=99999999999999999999":        400,
			"limit=-1":                          400,
			"min-size=-1":                       200,
			"recipient=%zz":                     400,
			"a;b":                               400,
			"since=9999-12-31T23:59:59-01:00":   400,
			"since=2026-11-28T10:00:00%2B24:00": 200,
			"since=0000-01-01":                  400,
			"recipient=a&recipient=b":           400,
			"status=%00":                        400,
			strings.Repeat("a&", 10_000):        400,
			strings.Repeat("label=&", 4000):     400,
		} {
			answer := w.do(httpGet(apiPrefix + "/messages?" + query))
			if answer.Code != want {
				t.Errorf("%.60s: %d, want %d\n%.300s", query, answer.Code, want, answer.Body)
			}
		}
		for name, test := range map[string]struct{ kind, body string }{
			"deep JSON":        {"application/json", `{"id":` + strings.Repeat("[", 100_000)},
			"an object":        {"application/json", `{"id":{"a":1}}`},
			"an array":         {"application/json", `["id"]`},
			"null":             {"application/json", `null`},
			"two documents":    {"application/json", `{"all":true}{"all":true}`},
			"100,000 fields":   {"application/x-www-form-urlencoded", strings.Repeat("id=a&", 100_000)},
			"a simple request": {"text/plain", `{"all":true,"confirm":"yes","reason":"test"}`},
			"no media type":    {"", "all=yes&confirm=yes&reason=test"},
			"a multipart form": {"multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=all\r\n\r\nyes\r\n--x--"},
		} {
			answer := w.sendBody(apiPrefix+"/messages/remove", test.kind, test.body)
			if answer.Code != 400 && answer.Code != 415 {
				t.Errorf("%s: %d\n%.300s", name, answer.Code, answer.Body)
			}
		}
		if n := w.stored(); n != 1 {
			t.Errorf("%d messages are left", n)
		}
	})
}

// Other forms of a path do not lead to a route that the role does not allow, and
// the error is as short as others.
func TestPathsHaveOneForm(t *testing.T) {
	inWorld(t, &Console{Authorize: asViewer}, func(w *world) {
		w.token = ""
		m := w.submit(mail("bob@down.example"))
		for path, want := range map[string]int{
			"/messages/" + m.ID + "/content": 403, "/audit": 403,
			"//audit": 404, "/audit/": 404, "/AUDIT": 404, "/%61udit": 404, "/x/../audit": 404, "/./audit": 404, "/audit%00": 404, "/audit;x": 404,
			apiPrefix + apiPrefix + "/audit": 404, apiPrefix + "//audit": 404,
			"/messages/" + m.ID + "%2Fcontent": 404, "/messages/" + m.ID + "//content": 404, "/messages/" + m.ID + "/content/": 404, "/messages/..": 404, "/messages/%2e%2e": 404,
			"/messages/" + url.PathEscape("../../etc/passwd"): 404, "/messages/%00": 404, "/messages/" + strings.Repeat("a", 5000): 400,
			strings.Repeat("/a", 10_000): 404,
		} {
			r := httpGet(path)
			r.Header.Set("X-HTTP-Method-Override", "POST")
			answer := w.do(r)
			if answer.Code != want {
				t.Errorf("%.60s: %d, want %d", path, answer.Code, want)
			}
			if answer.Body.Len() > 20_000 {
				t.Errorf("%.60s: an answer of %d bytes", path, answer.Body.Len())
			}
		}
	})
}

// The confirmation page counts messages. The action is not done to messages that
// arrive after it.
func TestActionIsAboutTheMessagesThatWereCounted(t *testing.T) {
	for path, f := range map[string]url.Values{
		"/queues/remove":    form("connector", "internet", "destination", "down.example"),
		"/messages/remove":  form("recipient", "bob@down.example"),
		"/messages/suspend": form("all", "yes"),
		"/queues/redirect":  form("connector", "internet", "destination", "down.example", "to-destination", "other.example"),
	} {
		t.Run(path, func(t *testing.T) {
			inWorld(t, &Console{}, func(w *world) {
				w.submit(mail("bob@down.example"))
				time.Sleep(time.Second)
				page := w.sendPage(path, f).Body.String()
				_, rest, found := strings.Cut(page, `name="before" value="`)
				before, _, _ := strings.Cut(rest, `"`)
				if !found {
					t.Fatalf("the page has no time:\n%s", page)
				}
				f.Set("before", before)
				w.submit(mail("bob@down.example")) // too late
				f.Set("confirm", "yes")
				f.Set("reason", "test")
				var got outcome
				w.post(path, 200, f, &got)
				if got.Count != 1 {
					t.Errorf("it is done to %d messages", got.Count)
				}
			})
		})
	}
}

// A header with many fields and many recipients make no page large, and dates
// of strangers make no answer fail.
func TestHostileMessage(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		var b bytes.Buffer
		for range 20 { // the queue refuses a message with more than 30
			b.WriteString("Received: by mx; Sat, 28 Nov 2026 10:00:00 +2400\r\n")
		}
		b.WriteString("Subject: " + strings.Repeat("x", 100_000) + "\r\n\r\n")
		rcpts := make([]string, 5000)
		for i := range rcpts {
			rcpts[i] = "bob@down.example"
		}
		m := mail(rcpts...)
		m.Content = queue.String(b.String())
		w.submit(m)
		var v messageView
		w.get("/messages/"+m.ID, &v)
		if len(v.Hops) != 20 || v.Hops[0].Time.IsZero() || len(v.States) != maxStates || v.Count != 5000 {
			t.Errorf("%d hops, %d of %d recipients", len(v.Hops), len(v.States), v.Count)
		}
		if page := w.page("/messages", 200); len(page) > 20_000 {
			t.Errorf("the list has %d bytes", len(page))
		}
		w.page("/messages/"+m.ID, 200)
	})
}

// Another website can link to a page, but not use the answers: as images, as streams,
// or in a script. Its requests take no places.
func TestRequestsOfOtherWebsites(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		for _, test := range []struct {
			site, mode string
			want       int
		}{
			{"cross-site", "navigate", 200}, // a link in a mail
			{"cross-site", "no-cors", 403},
			{"cross-site", "cors", 403},
			{"same-site", "cors", 403}, // another port of the same host
			{"cross-site", "", 403},
			{"same-origin", "cors", 200}, // our own script
			{"none", "navigate", 200},    // typed in
			{"", "", 200},                // curl
		} {
			for _, path := range []string{"/messages", "/metrics", apiPrefix + "/overview"} {
				r := httpGet(path)
				r.Header.Set("Sec-Fetch-Site", test.site)
				r.Header.Set("Sec-Fetch-Mode", test.mode)
				answer := w.do(r)
				if answer.Code != test.want {
					t.Errorf("%s, %s %s: %d, want %d", path, test.site, test.mode, answer.Code, test.want)
				}
				for name := range answer.Header() {
					if strings.HasPrefix(name, "Access-Control-") {
						t.Errorf("%s: another website may read the answer: %s", path, name)
					}
				}
			}
		}
	})
}

// A forged cursor of the tracking log or of the sessions is an error, and does not
// tell a viewer the names of files.
func TestForgedCursors(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "MSGTRK20261128-1.log"), []byte("#Software\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	inWorld(t, &Console{Authorize: asViewer}, func(w *world) {
		w.token = ""
		w.console.Gateway.Tracking = &tracking.Log{Dir: dir}
		for _, path := range []string{"/tracking?cursor=", "/sessions?after=", "/sessions?address=", "/tracking?event=", "/tracking/"} {
			for _, cursor := range []string{
				"n20261128-1.0", "n20261128-1.9223372036854775807", "o20261128-1.0", "n20261128-2.5", "n99999999-1.0", "n20261128--1.0", "../../etc/passwd",
				"1.in.x", "9223372036854775808.in.x", "-1..x", "\x00", strings.Repeat("9", 4000),
			} {
				answer := w.do(httpGet(apiPrefix + path + url.PathEscape(cursor)))
				if answer.Code != 200 && answer.Code != 400 && answer.Code != 404 {
					t.Errorf("%s%.40s: %d", path, cursor, answer.Code)
				}
				if strings.Contains(answer.Body.String(), dir) {
					t.Errorf("%s%.40s: %s", path, cursor, answer.Body)
				}
			}
		}
		if err := os.Mkdir(filepath.Join(dir, "MSGTRK20261128-2.log"), 0o700); err != nil { // it cannot be read
			t.Fatal(err)
		}
		answer := w.do(httpGet(apiPrefix + "/tracking?cursor=n20261128-2.5"))
		if answer.Code != 400 || strings.Contains(answer.Body.String(), dir) {
			t.Errorf("%d %s", answer.Code, answer.Body)
		}
		w.console.Gateway.Tracking = nil
	})
}
