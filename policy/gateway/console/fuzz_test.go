package console

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// Each body is read or refused: a refusal is an error of the client, and what is
// read is within the limits.
func FuzzReadForm(f *testing.F) {
	for _, seed := range [][2]string{
		{"application/x-www-form-urlencoded", "id=1&id=2&reason=a+b&confirm=yes"},
		{"application/x-www-form-urlencoded", "a;b&%zz"},
		{"application/json", `{"id": ["1", 2, true, null], "confirm": true, "limit": 1e300}`},
		{"application/json; charset=utf-8", `{"id": {"a": [[[[]]]]}}`},
		{"multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"message\"; filename=\"a.eml\"\r\n\r\nX-Sender: <>\r\n--x--\r\n"},
		{"multipart/form-data", "--\r\n"},
		{"text/plain", "a=b"},
		{"", ""},
	} {
		f.Add(seed[0], seed[1], false)
		f.Add(seed[0], seed[1], true)
	}
	f.Fuzz(func(t *testing.T, kind, body string, upload bool) {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.Header.Set("Content-Type", kind)
		form, err := readForm(httptest.NewRecorder(), r, upload)
		x := &call{r: r, console: &Console{}, route: &route{}, form: form}
		if err != nil {
			if p := x.problemOf(err); p.Status/100 != 4 {
				t.Errorf("%v is status %d", err, p.Status)
			}
			return
		}
		n := 0
		for _, values := range form {
			n += len(values)
		}
		if n > maxParameters {
			t.Errorf("%d values", n)
		}
		s, err := decode[removeSelection](x)
		if err != nil {
			if p := x.problemOf(err); p.Status != http.StatusBadRequest || p.Parameter == "" && len(form[""]) == 0 {
				t.Errorf("%v is %+v", err, p)
			}
			return
		}
		for _, at := range []interface{ MarshalText() ([]byte, error) }{s.Since, s.Before} {
			if _, err := at.MarshalText(); err != nil {
				t.Error(err)
			}
		}
	})
}

// The key of a next hop has both of its parts.
func FuzzQueueKey(f *testing.F) {
	for _, seed := range []string{"internet:example.com", ":", "a%3Ab:c%20d+e", "%zz:", "::", "smart%2Fhosts:[192.0.2.1]", "\xff:\u202e"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		hop := queue.NextHop{Connector: a, Destination: b}
		if got, err := hopOf(keyOf(hop)); err != nil || got != hop {
			t.Errorf("%q: %q, %v", hop, got, err)
		}
		if hop, err := hopOf(a); err == nil {
			if again, err := hopOf(keyOf(hop)); err != nil || again != hop {
				t.Errorf("%q is %q and then %q, %v", a, hop, again, err)
			}
		}
	})
}

// Each path has at most one route of a method, and its ID is what the link had.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/", "/queues/internet:example.com", "/messages/7/content", "//audit", "/%2e%2e/audit", "/queues/a%2Fb", "/api/v1/api/v1/queues", "/messages/%zz", strings.Repeat("/a", 100)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		table := newRouter(routes())
		if _, id, err := table.find("GET", "/messages/"+url.PathEscape(path)); path != "" && (err != nil || id != path) {
			t.Errorf("%q: %q, %v", path, id, err)
		}
		u, err := url.ParseRequestURI(path)
		if err != nil {
			return
		}
		x := &call{console: &Console{Prefix: "/relay"}, w: httptest.NewRecorder(), r: &http.Request{Method: "GET", URL: u, Header: http.Header{}}}
		if !x.locate() {
			if to := x.w.Header().Get("Location"); !strings.HasPrefix(to, "./") { // never to another host
				t.Errorf("%q: a redirection to %q", path, to)
			}
			return
		}
		if len(x.base) > 3*maxDepth {
			t.Errorf("%q: links of %d bytes", path, len(x.base))
		}
		if r, id, err := table.find("GET", x.path); err == nil && r.role == Operator && id == "" && !strings.HasPrefix(r.path, x.path) {
			t.Errorf("%q leads to %s", path, r.path)
		}
		if bytes.ContainsAny([]byte(x.link(x.path)), "\r\n") {
			t.Errorf("%q: a link with a line break", path)
		}
	})
}
