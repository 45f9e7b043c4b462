package console

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The URL that Run prints has the token. It becomes a cookie, and the token does
// not stay in the address bar.
func TestTokenBecomesACookie(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		token := w.token
		w.token = ""
		r := httptest.NewRequest("GET", "http://127.0.0.1:8025/?token="+token, nil)
		answer := w.do(r)
		if answer.Code != http.StatusSeeOther || answer.Header().Get("Location") != "./" {
			t.Fatalf("%d to %q", answer.Code, answer.Header().Get("Location"))
		}
		cookie := answer.Header().Get("Set-Cookie")
		for _, part := range []string{"HttpOnly", "SameSite=Strict", token} {
			if !strings.Contains(cookie, part) {
				t.Errorf("the cookie %q has no %s", cookie, part)
			}
		}
		if strings.Contains(cookie, "Path") {
			t.Errorf("the cookie %q has a path, which is wrong behind a proxy", cookie)
		}
		if strings.Contains(cookie, "Secure") {
			t.Errorf("the cookie %q is Secure without TLS", cookie)
		}
		r = httptest.NewRequest("GET", "http://127.0.0.1:8025/queues", nil)
		r.Header.Set("Accept", "text/html")
		r.Header.Set("Cookie", strings.Split(cookie, ";")[0])
		if answer := w.do(r); answer.Code != http.StatusOK || strings.Contains(answer.Body.String(), token) {
			t.Errorf("with the cookie: %d\n%s", answer.Code, answer.Body)
		}
		r = httptest.NewRequest("GET", "https://localhost/?token="+token, nil) // under TLS
		if cookie := w.do(r).Header().Get("Set-Cookie"); !strings.Contains(cookie, "Secure") {
			t.Errorf("the cookie %q is not Secure under TLS", cookie)
		}
	})
}

// A loopback address gives no access: the request needs the token.
func TestNothingIsShownWithoutTheToken(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		w.token = ""
		for _, route := range w.console.router.routes {
			path := strings.ReplaceAll(route.path, "{id}", "x")
			r := httptest.NewRequest(route.method, "http://127.0.0.1:8025"+path, nil)
			r.RemoteAddr = "127.0.0.1:40000"
			if answer := w.do(r); answer.Code != http.StatusUnauthorized {
				t.Errorf("%s %s: %d", route.method, path, answer.Code)
			}
		}
		page := w.page("/queues", http.StatusUnauthorized)
		if !strings.Contains(page, `action="./login"`) || strings.Contains(page, "aria-current") {
			t.Errorf("no login form, or a menu:\n%s", page)
		}
		answer := w.send("/login", form("token", w.console.token.secret))
		if answer.Code != http.StatusSeeOther || answer.Header().Get("Set-Cookie") == "" {
			t.Errorf("the login form: %d %v", answer.Code, answer.Header())
		}
	})
}

func TestWrongTokensAreLimited(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		right := w.token
		w.token = "wrong"
		count := map[int]int{}
		for range 30 {
			count[w.do(httptest.NewRequest("GET", "http://localhost/", nil)).Code]++
		}
		if count[http.StatusUnauthorized] != wrongTokens || count[http.StatusTooManyRequests] != 30-wrongTokens {
			t.Errorf("codes: %v", count)
		}
		if got := w.do(httptest.NewRequest("GET", "http://localhost/?token=wrong", nil)); got.Code != http.StatusTooManyRequests || got.Header().Get("Retry-After") == "" {
			t.Errorf("in the URL: %d %v", got.Code, got.Header())
		}
		w.token = right // an attacker cannot lock the operators out
		w.page("/", http.StatusOK)
		time.Sleep(61 * time.Second)
		w.token = "wrong"
		w.page("/", http.StatusUnauthorized)
	})
}

// A website whose DNS name points to our address cannot use the console, even
// if it knows the token.
func TestHostIsChecked(t *testing.T) {
	c := &Console{Hosts: []string{"relay.example.com", "admin.example.com:8443"}}
	inWorld(t, c, func(w *world) {
		for host, want := range map[string]int{
			"127.0.0.1:8025": 200, "127.0.0.1": 200, "[::1]:8025": 200, "localhost:1": 200, "LOCALHOST": 200, "127.9.9.9": 200,
			"relay.example.com": 200, "relay.example.com:8025": 200, "admin.example.com:8443": 200,
			"admin.example.com": 421, "evil.example": 421, "127.0.0.1.evil.example": 421, "localhost.evil.example:8025": 421, "": 421, "10.0.0.1": 421,
		} {
			r := httptest.NewRequest("GET", "http://x/", nil)
			r.Host = host
			if answer := w.do(r); answer.Code != want {
				t.Errorf("%q: %d, want %d", host, answer.Code, want)
			}
			r = httptest.NewRequest("GET", "http://x/?token="+w.token, nil)
			r.Host = host
			if answer := w.do(r); want == 421 && answer.Header().Get("Set-Cookie") != "" {
				t.Errorf("%q gets the cookie", host)
			}
		}
	})
}

func TestRoles(t *testing.T) {
	var access Access
	var refused error
	c := &Console{Authorize: func(*http.Request) (Access, error) { return access, refused }}
	inWorld(t, c, func(w *world) {
		w.token = ""
		w.submit(mail("bob@down.example"))
		change := func() int {
			return w.send(apiPrefix+"/queues/retry", form("connector", "internet", "destination", "down.example", "confirm", "yes", "reason", "test")).Code
		}
		for _, test := range []struct {
			access       Access
			err          error
			read, change int
		}{
			{Access{"vera", Viewer}, nil, 200, 403},
			{Access{"oscar", Operator}, nil, 200, 200},
			{Access{"nobody", 0}, nil, 403, 403},
			{Access{"oscar", Role(9)}, nil, 403, 403},
			{Access{"oscar", Operator}, errors.New("no"), 403, 403},
		} {
			access, refused = test.access, test.err
			w.page("/queues", test.read)
			if got := change(); got != test.change {
				t.Errorf("%v, %v: a change gives %d, want %d", test.access, test.err, got, test.change)
			}
			synctest.Wait()
		}
	})
}

// Another website cannot send a form to the console, even with the cookie.
func TestCrossOriginWritesAreRefused(t *testing.T) {
	inWorld(t, &Console{Hosts: []string{"admin.example.com"}}, func(w *world) {
		w.submit(mail("bob@down.example"))
		for _, test := range []struct {
			site, origin string
			want         int
		}{
			{"same-origin", "", 200}, {"none", "", 200}, {"", "", 200}, {"", "http://127.0.0.1:8025", 200},
			{"cross-site", "", 403}, {"same-site", "", 403}, {"", "http://evil.example", 403}, {"", "http://127.0.0.1:9999", 403}, {"", "null", 403},
			{"", "https://admin.example.com", 200},
		} {
			for path, want := range map[string]int{apiPrefix + "/queues/retry": test.want, "/login": map[int]int{200: 303, 403: 403}[test.want]} {
				body := url.Values{"destination": {"down.example"}, "connector": {"internet"}}
				if path == "/login" {
					body = url.Values{"token": {w.token}}
				}
				r := httptest.NewRequest("POST", "http://127.0.0.1:8025"+path, strings.NewReader(body.Encode()))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				for name, value := range map[string]string{"Sec-Fetch-Site": test.site, "Origin": test.origin} {
					if value != "" {
						r.Header.Set(name, value)
					}
				}
				if got := w.do(r).Code; got != want {
					t.Errorf("%s from %q %q: %d, want %d", path, test.site, test.origin, got, want)
				}
			}
		}
	})
}

func TestTokenFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "token")
	var first token
	if err := first.load(name); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	var second token
	if err := second.load(name); err != nil || second.secret != first.secret || len(first.secret) < shortestToken {
		t.Errorf("%v; the token changes, or is too short: %d", err, len(first.secret))
	}
	write := func(text string, mode os.FileMode) string {
		os.Remove(name)
		if err := os.WriteFile(name, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for text, test := range map[string]struct {
		mode os.FileMode
		want string
	}{
		"0123456789012345678901\n":     {0o640, "0600"},
		"0123456789012345678902\n":     {0o604, "0600"},
		"short\n":                      {0o600, "5 characters"},
		"01234567890123 5678901 3\n":   {0o600, "only letters"},
		strings.Repeat("x", 300):       {0o600, "characters"},
		"":                             {0o600, "0 characters"},
		"0123456789012345678901-_\r\n": {0o400, ""},
	} {
		err := new(token).load(write(text, test.mode))
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%.30q: %v, want %q", text, err, test.want)
		}
		if err != nil && len(text) > 10 && strings.Contains(err.Error(), strings.TrimSpace(text)) {
			t.Errorf("the error contains the token: %v", err)
		}
	}
	if err := new(token).load(dir); err == nil {
		t.Error("a directory is accepted")
	}
}
