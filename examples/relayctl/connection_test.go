package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy/gateway/console"
)

// The token can be in a file, in a variable, or in the URL of a variable. The Unix
// socket needs none.
func TestConnections(t *testing.T) {
	w := newWorld(t, nil)
	w.send("alice@example.com", "bob@closed.example", "Lunch")
	withToken := strings.TrimSuffix(w.url, "/") + "/?token=" + w.token
	for _, c := range []struct {
		name string
		env  []string
		args []string
		want int
	}{
		{"file", nil, []string{"-url", w.url, "-token-file", w.tokenFile}, 0},
		{"variables", []string{"RELAYCTL_URL=" + w.url, "RELAYCTL_TOKEN=" + w.token}, nil, 0},
		{"file in a variable", []string{"RELAYCTL_URL=" + w.url, "RELAYCTL_TOKEN_FILE=" + w.tokenFile}, nil, 0},
		{"URL in a variable", []string{"RELAYCTL_URL=" + withToken}, nil, 0},
		{"socket", nil, []string{"-socket", w.socket}, 0},
		{"socket in a variable", []string{"RELAYCTL_SOCKET=" + w.socket}, nil, 0},
		{"a flag before a variable", []string{"RELAYCTL_SOCKET=/nowhere"}, []string{"-url", w.url, "-token-file", w.tokenFile}, 0},
		{"another flag before a variable", []string{"RELAYCTL_URL=http://127.0.0.1:1"}, []string{"-socket", w.socket}, 0},
		{"no token", nil, []string{"-url", w.url}, 1},
		{"URL and socket", nil, []string{"-url", w.url, "-socket", w.socket}, 2},
		{"token as an argument", nil, []string{"-url", withToken}, 2},
		{"no file", nil, []string{"-url", w.url, "-token-file", "/nowhere"}, 2},
		{"not a URL", nil, []string{"-url", "127.0.0.1:8025"}, 2},
		{"another scheme", nil, []string{"-url", "ftp://127.0.0.1/"}, 2},
		{"user name", nil, []string{"-url", "http://alice:secret@127.0.0.1:8025/"}, 2},
		{"timeout", nil, []string{"-url", w.url, "-timeout", "-1s"}, 2},
	} {
		for _, args := range [][]string{append([]string{"queues"}, c.args...), append(c.args, "queues")} {
			r := runProcess(t, c.env, args...)
			if r.status != c.want {
				t.Errorf("%s: exit status %d, want %d\n%s%s", c.name, r.status, c.want, r.out, r.err)
			}
			if strings.Contains(r.out+r.err, w.token) {
				t.Errorf("%s: the output has the token:\n%s%s", c.name, r.out, r.err)
			}
		}
	}
}

// A token is not sent in plain text to another machine, and not read from a file
// that others can read.
func TestTokenIsSecret(t *testing.T) {
	secret := "secret-secret-secret-secret"
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	runProcess(t, nil, "queues", "-url", "http://192.0.2.1:8025", "-token-file", file).want(2, "https")
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	r := runProcess(t, nil, "queues", "-url", "http://127.0.0.1:1", "-token-file", file).want(2, "0600")
	if strings.Contains(r.err, secret) {
		t.Errorf("the error has the token: %s", r.err)
	}
	for _, bad := range []string{"", "two words", "line\nline", strings.Repeat("x", 300)} {
		if err := os.WriteFile(file, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		os.Chmod(file, 0o600)
		runProcess(t, nil, "queues", "-token-file", file).want(2, "token")
	}
	// A console that redirects does not get it sent elsewhere.
	var other []string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		other = append(other, r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	here := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusFound))
	defer here.Close()
	runProcess(t, []string{"RELAYCTL_TOKEN=" + secret}, "queues", "-url", here.URL).want(1, "is not a console", "302")
	if other != nil {
		t.Errorf("the redirection was followed: %q", other)
	}
}

// Wrong arguments have the exit status 2 and change nothing.
func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		want int
		text string
	}{
		{nil, 2, "Commands:"},
		{[]string{"frobnicate"}, 2, `"frobnicate" is not a command`},
		{[]string{"queues", "-frobnicate"}, 2, "-frobnicate"},
		{[]string{"-frobnicate", "queues"}, 2, "-frobnicate"},
		{[]string{"queues", "a", "b"}, 2, "one destination"},
		{[]string{"messages", "ID"}, 2, "show ID"},
		{[]string{"messages", "-limit", "-1"}, 2, "-limit"},
		{[]string{"help"}, 0, "exit"},
		{[]string{"-h"}, 0, "Commands:"},
		{[]string{"help", "retry"}, 0, "-reason"},
		{[]string{"retry", "-h"}, 0, "-reason"},
		{[]string{"help", "frobnicate"}, 2, "not a command"},
		{[]string{"show", "--", "-x"}, 1, "refused"},
	} {
		r := runProcess(t, []string{"RELAYCTL_URL=http://127.0.0.1:1"}, c.args...)
		if r.status != c.want || !strings.Contains(strings.ToLower(r.out+r.err), strings.ToLower(c.text)) {
			t.Errorf("%v: exit status %d, want %d and %q\n%s%s", c.args, r.status, c.want, c.text, r.out, r.err)
		}
	}
}

// Each command explains itself, and names only targets that it has.
func TestHelp(t *testing.T) {
	for _, c := range commands() {
		var out strings.Builder
		status := run(t.Context(), []string{"help", c.name}, &terminal{out: &out, err: &out}, func(string) string { return "" })
		if status != 0 || !strings.Contains(out.String(), "usage: relayctl "+c.name) || !strings.Contains(out.String(), c.summary) {
			t.Errorf("help %s: exit status %d\n%s", c.name, status, out.String())
		}
		if has := strings.Contains(c.args, "queue|"); has != strings.Contains(out.String(), "queue KEY...") {
			t.Errorf("help %s: the targets of %q:\n%s", c.name, c.args, out.String())
		}
		for line := range strings.Lines(out.String()) {
			if len(line) > 100 {
				t.Errorf("help %s has the long line %q", c.name, line)
			}
		}
	}
}

// A viewer sees the state of the relay, and is told that it may change nothing.
func TestViewer(t *testing.T) {
	w := newWorld(t, func(c *console.Console) {
		c.Authorize = func(r *http.Request) (console.Access, error) {
			if r.Header.Get("Authorization") != "Bearer vera" {
				return console.Access{}, errors.New("unknown")
			}
			return console.Access{Name: "vera", Role: console.Viewer}, nil
		}
		web := httptest.NewServer(c)
		t.Cleanup(web.Close)
		t.Setenv("TEST_URL", web.URL)
	})
	id := w.send("alice@example.com", "bob@closed.example", "Lunch")
	env := []string{"RELAYCTL_URL=" + os.Getenv("TEST_URL"), "RELAYCTL_TOKEN=vera"}
	runProcess(t, env, "messages").want(0, id)
	runProcess(t, env, "retry", "all", "-yes", "-reason", "now").want(1, "operator")
	runProcess(t, env, "export", id, "-dir", "-").want(1, "operator")
	runProcess(t, env, "watch", "-for", "1m").want(1, "operator")
	runProcess(t, []string{env[0], "RELAYCTL_TOKEN=eve"}, "messages").want(1, "no access")
}

// Each answer that is not what a console answers has an error that says so, soon.
func TestUnreachable(t *testing.T) {
	w := newWorld(t, nil)
	runProcess(t, []string{"RELAYCTL_TOKEN=wrong-wrong-wrong-wrong"}, "queues", "-url", w.url).want(1, "token is wrong")
	runProcess(t, nil, "queues", "-url", "http://127.0.0.1:1").want(1, "connection refused")
	runProcess(t, nil, "queues", "-socket", filepath.Join(t.TempDir(), "none")).want(1, "no such file")
	runProcess(t, nil, "queues", "-url", "http://none.invalid:1/").want(1, "cannot be reached")
	runProcess(t, nil, "queues", "-url", "https://"+w.smtp).want(1, "cannot be reached")
	runProcess(t, nil, "queues", "-url", w.url+"elsewhere/").want(1)

	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	runProcess(t, nil, "queues", "-url", "http://"+silent.Addr().String(), "-timeout", "200ms").want(1, "does not answer in time")
}

// answers serves each request with the same answer.
func answers(t *testing.T, status int, kind, body string, header ...string) string {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	t.Cleanup(web.Close)
	return web.URL
}

// A busy console, a proxy, and another web server are told apart.
func TestAnswers(t *testing.T) {
	problem := func(status int, detail string) string {
		doc, _ := json.Marshal(map[string]any{"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": detail})
		return string(doc)
	}
	for _, c := range []struct {
		status     int
		kind, body string
		header     []string
		want       string
	}{
		{429, "application/problem+json", problem(429, "Too many requests of this kind."), []string{"Retry-After", "5"}, "relayctl: the console is busy: Too many requests of this kind. (Retry after 5 seconds)\n"},
		{503, "application/problem+json", problem(503, ""), nil, "relayctl: the console is busy: Service Unavailable\n"},
		{503, "text/html", "<h1>Sorry</h1>", nil, "relayctl: the console is busy: 503 Service Unavailable\n"},
		{403, "application/problem+json", problem(403, "This needs\x1b[2J the role operator."), nil, "relayctl: This needs\\x1B[2J the role operator.\n"},
		{200, "text/html", "<h1>Welcome to nginx</h1>", nil, "is not a console of this version"},
		{404, "text/plain", "not found", nil, "is not a console of this version"},
		{200, "application/json", `{"queues":7}`, nil, "another form than expected"},
	} {
		r := runProcess(t, nil, "queues", "-url", answers(t, c.status, c.kind, c.body, c.header...)).want(1)
		if !strings.Contains(r.err, c.want) {
			t.Errorf("%d %s: %q, want %q", c.status, c.body, r.err, c.want)
		}
	}
}

// A download that stops is an error, and leaves no file.
func TestBrokenDownload(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, "Subject: half")
	}))
	defer web.Close()
	dir := t.TempDir()
	runProcess(t, nil, "export", "m1", "-dir", dir, "-url", web.URL).want(1)
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("the folder has %v, %v", files, err)
	}
}

// A download or a stream that sends nothing ends.
func TestIdleReader(t *testing.T) {
	release := make(chan struct{})
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "begin")
		http.NewResponseController(w).Flush()
		<-release
	}))
	defer web.Close()
	defer close(release)
	to := &connection{url: web.URL, timeout: time.Minute, getenv: func(string) string { return "" }}
	c, err := to.client()
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	c.idle = 50 * time.Millisecond
	r, err := c.open(t.Context(), "/messages/m1/content", nil, "*/*")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if text, err := io.ReadAll(r); string(text) != "begin" || !errors.Is(err, errIdle) {
		t.Errorf("read %q, %v", text, err)
	}
}
