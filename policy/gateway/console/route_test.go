package console

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	for _, test := range []struct {
		pattern, path, id string
		want              bool
	}{
		{"/queues", "/queues", "", true},
		{"/queues", "/queues/", "", false},
		{"/queues/{id}", "/queues/a%2Fb:c", "a/b:c", true},
		{"/queues/{id}", "/queues/", "", false},
		{"/queues/{id}", "/queues/a/b", "", false},
		{"/queues/{id}", "/queues/%zz", "", false},
		{"/messages/{id}/content", "/messages/7/content", "7", true},
		{"/messages/{id}/content", "/messages/7", "", false},
	} {
		id, got := match(test.pattern, test.path)
		if got != test.want || got && id != test.id {
			t.Errorf("%s, %s: %q, %v", test.pattern, test.path, id, got)
		}
	}
}

// Each page has one route, and each template is used.
func TestTableOfRoutes(t *testing.T) {
	seen, used := map[string]bool{}, map[string]bool{"layout.html": true, "parts.html": true, "problem.html": true, "login.html": true}
	for _, r := range routes() {
		key := r.method + " " + r.path
		if seen[key] {
			t.Errorf("%s is there twice", key)
		}
		seen[key] = true
		used[r.template] = true
		if r.method == http.MethodPost && r.role != Operator {
			t.Errorf("%s is a change and does not need an operator", key)
		}
		if r.summary == "" || r.view == nil && r.media == "" {
			t.Errorf("%s is not described", key)
		}
	}
	entries, err := fs.ReadDir(files, "templates")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !used[e.Name()] {
			t.Errorf("%s has no route", e.Name())
		}
	}
}

func TestPathsAndMethods(t *testing.T) {
	inWorld(t, &Console{Prefix: "/relay"}, func(w *world) {
		for _, test := range []struct {
			method, path string
			want         int
			has          string
		}{
			{"GET", "/relay/", 200, `href="./queues"`},
			{"GET", "/relay/queues", 200, `aria-current="page">Queues`},
			{"GET", "/", 200, `href="./queues"`}, // a proxy has removed the prefix
			{"GET", "/relay/queues/x:y", 404, `href="../queues"`},
			{"GET", "/relay/none", 404, "There is no such page"},
			{"GET", "/relayed", 404, "There is no such page"},
			{"POST", "/relay/queues", 405, ""},
			{"GET", "/relay/queues/retry/x", 404, ""},
			{"DELETE", "/relay/", 405, ""},
			{"HEAD", "/relay/queues", 200, ""},
		} {
			r := httptest.NewRequest(test.method, "http://127.0.0.1:8025"+test.path, nil)
			r.Header.Set("Accept", "text/html")
			answer := w.do(r)
			if answer.Code != test.want || !strings.Contains(answer.Body.String(), test.has) {
				t.Errorf("%s %s: %d, want %d with %q\n%s", test.method, test.path, answer.Code, test.want, test.has, answer.Body)
			}
			if test.want == 405 && answer.Header().Get("Allow") == "" {
				t.Errorf("%s %s: no Allow", test.method, test.path)
			}
			if test.method == "HEAD" && answer.Body.Len() > 0 {
				t.Error("HEAD has a body")
			}
		}
		answer := w.do(httptest.NewRequest("GET", "http://127.0.0.1:8025/relay", nil))
		if answer.Code != 303 || answer.Header().Get("Location") != "./relay/" {
			t.Errorf("without the slash: %d %q", answer.Code, answer.Header().Get("Location"))
		}
	})
}

// Each answer has the header fields that keep a browser from mixing the console
// with other websites, and the pages have no inline script or style.
func TestSecurityHeaders(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		for _, path := range []string{"/", "/none", apiPrefix + "/queues", "/assets/console.css", "/healthz"} {
			h := w.do(httptest.NewRequest("GET", "http://127.0.0.1:8025"+path, nil)).Header()
			policy := h.Get("Content-Security-Policy")
			if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") ||
				h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "same-origin" || !strings.Contains(policy, "frame-ancestors 'none'") {
				t.Errorf("%s: %v", path, h)
			}
			if cache := h.Get("Cache-Control"); cache != "no-store" && !strings.HasPrefix(path, "/assets/") {
				t.Errorf("%s may be cached: %q", path, cache)
			}
		}
	})
	entries, _ := fs.ReadDir(files, "templates")
	for _, e := range entries {
		text, _ := fs.ReadFile(files, "templates/"+e.Name())
		for _, bad := range []string{"style=", "<style", " onclick", " onsubmit", "javascript:", "http://", "https://"} {
			if strings.Contains(string(text), bad) {
				t.Errorf("%s has %s", e.Name(), bad)
			}
		}
		if n := strings.Count(string(text), "<script"); n != strings.Count(string(text), "<script src=") {
			t.Errorf("%s has an inline script", e.Name())
		}
	}
}

// A page loads its assets without the token: the login form has them too. Their
// URLs have a hash of the content, so a browser keeps them.
func TestAssets(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		w.token = ""
		for name, media := range map[string]string{"console.css": "text/css; charset=utf-8", "console.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"} {
			answer := w.do(httpGet(assetPath(name)))
			if answer.Code != 200 || answer.Header().Get("Content-Type") != media || answer.Body.Len() == 0 || !strings.Contains(answer.Header().Get("Cache-Control"), "immutable") {
				t.Errorf("%s: %d %v", name, answer.Code, answer.Header())
			}
			if page := w.page("/none", 401); !strings.Contains(page, `"./`+strings.TrimPrefix(assetPath(name), "/")+`"`) {
				t.Errorf("%s is not in the page:\n%s", name, page)
			}
		}
		for _, path := range []string{"/assets/", "/assets/none.css", "/assets/../templates/layout.html", "/assets/%2e%2e/routes.go"} {
			if answer := w.do(httpGet(path)); answer.Code == 200 {
				t.Errorf("%s: %d", path, answer.Code)
			}
		}
	})
}

func TestAssetsAreSmall(t *testing.T) {
	entries, err := fs.ReadDir(files, "assets")
	if err != nil {
		t.Fatal(err)
	}
	var sum int64
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		sum += info.Size()
		if !strings.Contains(assetPath(e.Name()), "?v=") {
			t.Errorf("%s has no hash", e.Name())
		}
	}
	if sum > 60_000 || len(entries) < 3 {
		t.Errorf("%d assets have %d bytes", len(entries), sum)
	}
}
