package console

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
)

// A browser can use the console behind a proxy that ends TLS and removes a prefix,
// whether the proxy sends its own Host field or that of the browser: it gets the
// cookie, its forms are accepted, and those of other websites are not.
func TestBehindAProxy(t *testing.T) {
	for name, test := range map[string]struct {
		keepsHost bool
		fetch     bool // the browser sends Sec-Fetch-Site
	}{
		"nginx":                            {false, true},
		"nginx, proxy_set_header Host":     {true, true},
		"a browser without Sec-Fetch-Site": {false, false},
		"the same, proxy_set_header Host":  {true, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := &Console{Address: "127.0.0.1:0"}
			var inside *url.URL
			proxy := httptest.NewTLSServer(http.StripPrefix("/relay", &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(inside)
				r.SetXForwarded()
				if test.keepsHost {
					r.Out.Host = r.In.Host
				}
			}, ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) { t.Error(err) }}))
			defer proxy.Close()
			// The browser knows the console by the name of the proxy.
			outside := strings.Replace(proxy.URL, "127.0.0.1", "example.com", 1)
			c.Hosts = []string{strings.TrimPrefix(outside, "https://")}
			base, token, _ := strings.Cut(start(t, c), "?token=")
			inside, _ = url.Parse(base)

			jar, _ := cookiejar.New(nil)
			browser := proxy.Client()
			browser.Jar = jar
			browser.Transport.(*http.Transport).TLSClientConfig.ServerName = "example.com" // the name in the certificate
			browser.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, proxy.Listener.Addr().String())
			}
			send := func(method, path, origin, site string, form url.Values) (int, string, string) {
				t.Helper()
				r, err := http.NewRequest(method, outside+path, strings.NewReader(form.Encode()))
				if err != nil {
					t.Fatal(err)
				}
				if form != nil {
					r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
					r.Header.Set("Origin", origin)
				}
				if test.fetch {
					r.Header.Set("Sec-Fetch-Site", site)
				}
				r.Header.Set("Accept", "text/html")
				answer, err := browser.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer answer.Body.Close()
				body, err := io.ReadAll(answer.Body)
				if err != nil {
					t.Error(err)
				}
				return answer.StatusCode, answer.Request.URL.Path, string(body)
			}
			if code, _, page := send("GET", "/relay/queues", "", "none", nil); code != 401 || !strings.Contains(page, `action="./login"`) {
				t.Fatalf("without the token: %d\n%s", code, page)
			}
			if code, at, page := send("POST", "/relay/login", outside, "same-origin", form("token", token)); code != 200 || at != "/relay/" || !strings.Contains(page, "Overview") {
				t.Fatalf("login: %d at %s\n%s", code, at, page)
			}
			in, _ := url.Parse(outside + "/relay/queues/x")
			out, _ := url.Parse(outside + "/other")
			if n := len(jar.Cookies(in)); n != 1 || len(jar.Cookies(out)) != 0 {
				t.Errorf("%d cookies inside, %d outside", n, len(jar.Cookies(out)))
			}
			if code, _, page := send("POST", "/relay/queues/suspend", outside, "same-origin", form("domain", "down.example", "reason", "test", "confirm", "yes")); code != 200 || !strings.Contains(page, "Done:") {
				t.Errorf("a form: %d\n%s", code, page)
			}
			if code, _, _ := send("POST", "/relay/queues/suspend", "https://evil.example", "cross-site", form("domain", "down.example", "reason", "test", "confirm", "yes")); code != 403 {
				t.Errorf("another website: %d", code)
			}
		})
	}
}

// A program such as curl sends the token, and neither a cookie nor an Origin.
func TestWithCurl(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		w.submit(mail("bob@down.example"))
		for _, scheme := range []string{"Bearer ", "bearer ", "BEARER  "} {
			r := httptest.NewRequest("POST", "http://127.0.0.1:8025/queues/retry", strings.NewReader(`{"queue": ["internet:down.example"], "confirm": true, "reason": "mx is back"}`))
			r.Header.Set("Content-Type", "application/json; charset=utf-8")
			r.Header.Set("Accept", "*/*")
			r.Header.Set("Authorization", scheme+w.token)
			answer := httptest.NewRecorder()
			w.console.ServeHTTP(answer, r)
			if answer.Code != http.StatusSeeOther { // */* is a page
				t.Errorf("%q: %d\n%s", scheme, answer.Code, answer.Body)
			}
		}
	})
}
