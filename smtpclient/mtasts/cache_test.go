package mtasts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/internal/resolver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is the DNS and the web as a Cache sees them.
type world struct {
	mu      sync.Mutex // guards all below where Run looks on
	txt     []string
	dns     error
	policy  string
	kind    string // content type
	status  int
	web     error
	fetched int
}

func (w *world) Lookup(_ context.Context, name string, t resolver.Type) (*resolver.Answer, error) {
	switch {
	case w.dns != nil && name == "_mta-sts.example.com":
		return nil, w.dns
	case len(w.txt) == 0 || name != "_mta-sts.example.com" || t != resolver.TypeTXT:
		return nil, &resolver.Error{Problem: resolver.NoSuchName, Name: name, Type: t}
	}
	return &resolver.Answer{TXT: w.txt}, nil
}

func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fetched++
	if got := r.URL.String(); got != "https://mta-sts.example.com/.well-known/mta-sts.txt" {
		return nil, errors.New("asked for " + got)
	}
	if w.web != nil {
		return nil, w.web
	}
	h := http.Header{"Content-Type": {w.kind}, "Location": {"https://elsewhere.example/"}}
	return &http.Response{StatusCode: w.status, Status: http.StatusText(w.status), Header: h, Body: io.NopCloser(strings.NewReader(w.policy)), Request: r}, nil
}

func newWorld() *world {
	return &world{txt: []string{"v=STSv1; id=1"}, policy: good, kind: "text/plain; charset=utf-8", status: 200}
}

func (w *world) cache() *Cache {
	return &Cache{Resolver: w, Client: &http.Client{Transport: w}}
}

// ask looks up a policy and checks its mode (empty: no policy), the type of the
// error (empty: no error) and the number of fetches so far.
func ask(t *testing.T, c *Cache, w *world, mode Mode, errType string, fetched int) {
	t.Helper()
	p, err := c.Policy(t.Context(), "Example.COM.")
	if (p == nil) != (mode == "") || p != nil && p.Mode != mode {
		t.Errorf("policy %+v, want %q", p, mode)
	}
	var e *Error
	if (errors.As(err, &e) && e.Type != errType) || (err == nil) != (errType == "") {
		t.Errorf("error %v, want %q", err, errType)
	}
	if w.fetched != fetched {
		t.Errorf("%d fetches, want %d", w.fetched, fetched)
	}
}

func TestCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		c := w.cache()
		ask(t, c, w, Enforce, "", 1)
		ask(t, c, w, Enforce, "", 1) // from memory

		// A new id means a new policy.
		w.txt, w.policy = []string{"v=STSv1; id=2"}, strings.Replace(good, "enforce", "testing", 1)
		ask(t, c, w, Testing, "", 2)

		// If it cannot be fetched, the old policy stays valid, and the fetch is
		// not repeated for some time.
		w.txt, w.status = []string{"v=STSv1; id=3"}, 404
		ask(t, c, w, Testing, FetchError, 3)
		ask(t, c, w, Testing, FetchError, 3)
		time.Sleep(retryAfter)
		ask(t, c, w, Testing, FetchError, 4)

		// The same applies if the record is removed or the DNS is down.
		w.txt = nil
		ask(t, c, w, Testing, "", 4)
		w.dns = errors.New("SERVFAIL")
		ask(t, c, w, Testing, "dns", 4)

		// But only until the policy expires.
		time.Sleep(7 * 24 * time.Hour)
		ask(t, c, w, "", "dns", 4)
		w.dns = nil
		ask(t, c, w, "", "", 4)

		// The mode none removes a policy.
		w.txt, w.status, w.policy = []string{"v=STSv1; id=4"}, 200, "version: STSv1\nmode: none\nmax_age: 86400\n"
		ask(t, c, w, "", "", 5)
		ask(t, c, w, "", "", 5)
	})
}

func TestFetchErrors(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*world)
		want   string
	}{
		{"no connection", func(w *world) { w.web = errors.New("refused") }, FetchError},
		{"not found", func(w *world) { w.status = 404 }, FetchError},
		{"redirect", func(w *world) { w.status = 302 }, FetchError},
		{"HTML", func(w *world) { w.kind = "text/html" }, Invalid},
		{"no type", func(w *world) { w.kind = "" }, Invalid},
		{"malformed", func(w *world) { w.policy = "hello" }, Invalid},
		{"too long", func(w *world) { w.policy = strings.Repeat("x: y\n", maxPolicy) }, Invalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			tt.change(w)
			ask(t, w.cache(), w, "", tt.want, 1)
		})
	}
	t.Run("not a domain", func(t *testing.T) {
		w := newWorld()
		if p, err := w.cache().Policy(t.Context(), "[192.0.2.1]"); p != nil || err != nil || w.fetched != 0 {
			t.Errorf("%v, %v", p, err)
		}
	})
}

// If one of two concurrent callers is canceled, the other one still gets the
// policy. Otherwise its mail would be sent without protection.
func TestOtherCallerIsCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		c := w.cache()
		c.Client.Transport = slow{w}
		ctx, cancel := context.WithCancel(t.Context())
		first := make(chan error)
		go func() {
			_, err := c.Policy(ctx, "example.com")
			first <- err
		}()
		synctest.Wait() // it fetches
		second := make(chan *Policy)
		go func() {
			p, _ := c.Policy(t.Context(), "example.com")
			second <- p
		}()
		synctest.Wait() // so does the other, by the same connection
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("the first: %v", err)
		}
		if p := <-second; p == nil || p.Mode != Enforce {
			t.Errorf("the second has %+v", p)
		}
	})
}

// slow is a world that answers slowly.
type slow struct{ *world }

func (s slow) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case <-time.After(time.Second):
		return s.world.RoundTrip(r)
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// A policy from a host whose certificate is not valid is not used.
func TestWebPKI(t *testing.T) {
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/plain")
		io.WriteString(rw, good)
	}))
	web.Config.ErrorLog = log.New(io.Discard, "", 0)
	web.StartTLS() // with a certificate for *.example.com
	defer web.Close()
	for name, tt := range map[string]struct {
		mode Mode
		err  string
		conf *tls.Config
	}{
		"trusted":    {Enforce, "", web.Client().Transport.(*http.Transport).TLSClientConfig},
		"stranger":   {"", WebPKIInvalid, &tls.Config{RootCAs: x509.NewCertPool()}},
		"wrong name": {"", WebPKIInvalid, &tls.Config{RootCAs: web.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, ServerName: "mta-sts.example.org"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			transport := &http.Transport{TLSClientConfig: tt.conf, DisableKeepAlives: true}
			transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, web.Listener.Addr().String())
			}
			ask(t, &Cache{Resolver: w, Client: &http.Client{Transport: transport}}, w, tt.mode, tt.err, 0)
		})
	}
}

// Policies survive a restart. A damaged file is ignored.
func TestDir(t *testing.T) {
	dir := t.TempDir() + "/sts"
	w := newWorld()
	c := w.cache()
	c.Dir = dir
	ask(t, c, w, Enforce, "", 1)

	c = w.cache()
	c.Dir = dir
	ask(t, c, w, Enforce, "", 1) // a restart later

	for name, damaged := range map[string]string{
		"empty": "", "cut": "bridgehead-mta-sts: 1\nid: 1\n", "future": fileVersion + "\nid: 1\nfetched: 2999-01-01T00:00:00Z\n\n" + good,
		"another version": "bridgehead-mta-sts: 9\nid: 1\nfetched: 2020-01-01T00:00:00Z\n\n" + good,
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(dir+"/example.com"+suffix, []byte(damaged), 0o600); err != nil {
				t.Fatal(err)
			}
			w := newWorld()
			c := w.cache()
			c.Dir = dir
			ask(t, c, w, Enforce, "", 1)
		})
	}

	w = newWorld()
	c = w.cache()
	c.Dir = dir + "/example.com" + suffix // a file, not a folder
	if p, err := c.Policy(t.Context(), "example.com"); p == nil || err == nil {
		t.Errorf("a policy that cannot be saved: %v, %v", p, err)
	}
}

// Refresh fetches policies that are older than a day and removes expired ones.
func TestRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		c := w.cache()
		c.Dir = t.TempDir()
		ask(t, c, w, Enforce, "", 1)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan bool)
		go func() { c.Run(ctx); close(done) }()
		after := func(d time.Duration, want int) {
			t.Helper()
			time.Sleep(d)
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.fetched != want {
				t.Errorf("%d fetches, want %d", w.fetched, want)
			}
		}
		after(23*time.Hour+time.Minute, 1)
		after(24*time.Hour, 2)
		w.mu.Lock()
		w.status = 500
		w.mu.Unlock()
		time.Sleep(8 * 24 * time.Hour)
		cancel()
		<-done
		if d := c.domains(); len(d) != 0 {
			t.Errorf("%q is still known", d)
		}
	})
}

// Memory is bounded. Expired policies are removed before valid ones.
func TestMaxDomains(t *testing.T) {
	c := &Cache{}
	for i := range maxDomains + 10 {
		c.keep(strings.Repeat("a", i%50+1)+time.Duration(i).String(), &entry{})
	}
	if n := len(c.entries); n != maxDomains {
		t.Errorf("%d entries", n)
	}
}

// The total size of the policies is bounded, and a policy that is replaced is
// counted once.
func TestMaxText(t *testing.T) {
	c := &Cache{}
	text := strings.Repeat("x", maxPolicy)
	for i := range 2 * maxText / maxPolicy {
		c.keep(fmt.Sprintf("d%d", i), &entry{policy: &Policy{Text: text}})
		c.keep(fmt.Sprintf("d%d", i), &entry{policy: &Policy{Text: text}})
	}
	if n := len(c.entries); n < maxText/maxPolicy-1 || n > maxText/maxPolicy {
		t.Errorf("%d entries", n)
	}
	for d := range c.entries {
		c.forget(d)
	}
	if c.text != 0 {
		t.Errorf("%d octets are counted for nothing", c.text)
	}
}

// Only the media type matters (RFC 8461, 3.2): its parameters do not, even if
// they are malformed.
func TestMediaTypes(t *testing.T) {
	for kind, good := range map[string]bool{
		"text/plain": true, "text/plain; charset=utf-8": true, "Text/Plain;charset=\"us-ascii\"": true, "text/plain ;": true,
		"text/plain; charset": true, "text/plain; charset=": true, "text/plain; charset=utf-8; charset=utf-8": true,
		"text/plainer": false, "text": false, "text/html; text/plain": false, "; text/plain": false, "": false,
	} {
		w := newWorld()
		w.kind = kind
		if good {
			ask(t, w.cache(), w, Enforce, "", 1)
		} else {
			ask(t, w.cache(), w, "", Invalid, 1)
		}
	}
}
