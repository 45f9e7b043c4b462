package console

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

// start runs the console of a relay, until the test ends. It returns the URL that
// was printed.
func start(t *testing.T, c *Console) string {
	t.Helper()
	printed := make(chan string, 1)
	c.Print = func(url string) { printed <- url }
	c.Gateway = &gateway.Gateway{Hostname: "relay.example.com", Queue: &queue.Queue{Store: &memory.Store{}, Deliverer: deliverer{}}}
	c.Gateway.Tasks = []func(context.Context) error{c.Run}
	c.Gateway.Parts = []gateway.Inheritor{c}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Gateway.Run(ctx) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case url := <-printed:
		return url
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
		return ""
	}
}

// The URL that Run prints opens the console in a browser: it becomes a cookie.
func TestRunPrintsAURL(t *testing.T) {
	at := start(t, &Console{Address: "127.0.0.1:0", Prefix: "/relay"})
	if !strings.HasPrefix(at, "http://127.0.0.1:") || !strings.Contains(at, "/relay/?token=") {
		t.Fatal(at)
	}
	jar := &jar{}
	client := &http.Client{Jar: jar}
	defer client.CloseIdleConnections()
	answer, err := client.Get(at)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if err != nil || answer.StatusCode != 200 || !strings.Contains(string(body), "Overview") {
		t.Errorf("%d, %v\n%s", answer.StatusCode, err, body)
	}
	if to := answer.Request.URL; to.RawQuery != "" || to.Path != "/relay/" {
		t.Errorf("the browser is at %s", to)
	}
}

// A stream of live numbers ends with the relay.
func TestStreamEndsWithTheRelay(t *testing.T) {
	at := start(t, &Console{Address: "127.0.0.1:0"})
	base, token, _ := strings.Cut(at, "?token=")
	r, err := http.NewRequest("GET", base+"events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() }) // before the relay ends
	if kind := answer.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Errorf("%d %s", answer.StatusCode, kind)
	}
	buf := make([]byte, 14)
	if _, err := io.ReadFull(answer.Body, buf); err != nil || string(buf) != "event: totals\n" {
		t.Errorf("%q, %v", buf, err)
	}
}

func TestRunServesTLS(t *testing.T) {
	cert := httptest.NewTLSServer(nil)
	config := cert.TLS.Clone()
	cert.Close()
	at := start(t, &Console{Address: "localhost:0", TLSConfig: config})
	client := &http.Client{Jar: &jar{}, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	answer, err := client.Get(at)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != 200 || !strings.HasPrefix(at, "https://localhost:") {
		t.Errorf("%s: %d", at, answer.StatusCode)
	}
}

// jar keeps the cookies of one host.
type jar struct{ cookies []*http.Cookie }

func (j *jar) SetCookies(_ *url.URL, c []*http.Cookie) { j.cookies = append(j.cookies, c...) }
func (j *jar) Cookies(*url.URL) []*http.Cookie         { return j.cookies }

// Validate names the settings that give access to strangers or can never work.
func TestValidate(t *testing.T) {
	dir := t.TempDir()
	readable := filepath.Join(dir, "token")
	if err := os.WriteFile(readable, []byte("0123456789012345678901"), 0o644); err != nil {
		t.Fatal(err)
	}
	cert := &tls.Config{Certificates: make([]tls.Certificate, 1)}
	relay := func() *gateway.Gateway {
		return &gateway.Gateway{Hostname: "relay.example.com", Queue: &queue.Queue{Store: &memory.Store{}, Deliverer: deliverer{}}}
	}
	for name, test := range map[string]struct {
		console *Console
		want    string // the beginning of the finding, or "" if the settings are right
	}{
		"handler only":         {&Console{}, ""},
		"loopback":             {&Console{Address: "127.0.0.1:8025"}, ""},
		"loopback, IPv6":       {&Console{Address: "[::1]:8025"}, ""},
		"localhost":            {&Console{Address: "localhost:8025"}, ""},
		"all addresses":        {&Console{Address: ":8025"}, "Address: "},
		"any address":          {&Console{Address: "0.0.0.0:8025", TLSConfig: cert}, "Address: "},
		"any, IPv6":            {&Console{Address: "[::]:8025", Authorize: asOperator}, "Address: "},
		"a name":               {&Console{Address: "relay.example.com:8025"}, "Address: "},
		"with both":            {&Console{Address: ":8025", TLSConfig: cert, Authorize: asOperator}, ""},
		"no port":              {&Console{Address: "127.0.0.1"}, "Address: "},
		"no certificate":       {&Console{Address: "127.0.0.1:8025", TLSConfig: &tls.Config{}}, "TLSConfig: "},
		"TLS without address":  {&Console{TLSConfig: cert}, "TLSConfig: "},
		"readable token":       {&Console{TokenFile: readable}, "TokenFile: "},
		"no folder for token":  {&Console{TokenFile: filepath.Join(dir, "none", "token")}, "TokenFile: "},
		"token to be made":     {&Console{TokenFile: filepath.Join(dir, "new")}, ""},
		"token, Authorize":     {&Console{TokenFile: filepath.Join(dir, "new"), Authorize: asOperator}, "TokenFile: "},
		"prefix":               {&Console{Prefix: "/relay/console"}, ""},
		"prefix without slash": {&Console{Prefix: "relay"}, "Prefix: "},
		"prefix with pattern":  {&Console{Prefix: "/{relay}"}, "Prefix: "},
		"hosts":                {&Console{Hosts: []string{"admin.example.com", "admin.example.com:8443"}}, ""},
		"host is a URL":        {&Console{Hosts: []string{"https://admin.example.com"}}, "Hosts[0]: "},
		"audit is a file":      {&Console{AuditDir: readable}, "AuditDir: "},
	} {
		t.Run(name, func(t *testing.T) {
			g := relay()
			test.console.Gateway = g
			g.Parts = []gateway.Inheritor{test.console}
			err := g.Validate()
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), "Parts[0]."+test.want)):
				t.Errorf("%v, want Parts[0].%s", err, test.want)
			}
			if test.want != "" {
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				if test.console.Run(ctx) == nil {
					t.Error("Run accepts the setting")
				}
			}
		})
	}
	if err := (&Console{}).Validate(); err == nil || !strings.Contains(err.Error(), "Gateway") {
		t.Errorf("without Gateway: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "new")); err == nil {
		t.Error("Validate has made the token file")
	}
	c := &Console{Gateway: relay()}
	if err := c.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "Address and Socket") {
		t.Errorf("nothing to listen on: %v", err)
	}
}

// A socket that is in use is an error of the start.
func TestAddressInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := &Console{Address: l.Addr().String(), Print: func(string) { t.Error("a URL is printed") }}
	c.Gateway = &gateway.Gateway{Queue: &queue.Queue{Store: &memory.Store{}, Deliverer: deliverer{}}}
	if err := c.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "Address") {
		t.Error(err)
	}
}
