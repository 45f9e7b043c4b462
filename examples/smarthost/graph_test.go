package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// The relay sends with Graph, with a token of its own. What Graph cannot send goes to
// the upstream.
func TestGraph(t *testing.T) {
	mails := make(chan string, 10)
	scopes := make(chan string, 10)
	var large atomic.Bool
	up, upstream, endpoint := cloud(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/oauth2/v2.0/token"):
			scopes <- r.FormValue("scope")
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":3599,"access_token":%q}`, password)
		case r.URL.Path == "/v1.0/users/scanner@example.com/sendMail" && r.Header.Get("Authorization") == "Bearer "+password:
			text, _ := io.ReadAll(base64.NewDecoder(base64.StdEncoding, r.Body))
			if large.Load() {
				w.WriteHeader(http.StatusRequestEntityTooLarge)
				return
			}
			mails <- string(text)
			w.WriteHeader(http.StatusAccepted)
		default:
			t.Errorf("unexpected request %s %s", r.Method, r.URL.Path)
		}
	})
	p := start(t, t.TempDir(), upstream, []string{password, "s3cr3t~4711"}, "-graph", "scanner@example.com", "-graph-host", endpoint,
		"-oauth-host", endpoint, "-oauth-tenant", "example.com", "-oauth-client", "11111111", "-oauth-secret-file", peers.File(t, "s3cr3t~4711"),
		"-user", user)
	scan(t, p)
	peers.Await(t, "the mail at Graph", func() bool { return len(mails) > 0 })
	if text := <-mails; !strings.Contains(text, "Subject: Scan\r\n") || !strings.Contains(text, "\r\nBcc: admin@example.net\r\n") {
		t.Errorf("Graph got %q", text)
	}
	large.Store(true)
	scan(t, p)
	if m := up.Inbox.Next(t); m.From != "scanner@example.com" {
		t.Errorf("the upstream got mail from %s", m.From)
	}
	p.Stop(t)
	if graph, smtp := <-scopes, <-scopes; graph != "https://localhost/.default" || smtp != "https://outlook.office365.com/.default" {
		t.Errorf("the scopes are %s and %s", graph, smtp)
	}
}

// Without an upstream, the relay announces the largest message that Graph accepts.
func TestGraphAlone(t *testing.T) {
	p := peers.StartSelf(t, asMain, 1, "-listen", "127.0.0.1:0", "-allow", "127.0.0.0/8", "-hostname", "relay.example.com", "-spool", t.TempDir(),
		"-graph", "scanner@example.com", "-oauth-tenant", "example.com", "-oauth-client", "1111", "-oauth-secret-file", peers.File(t, "s3cr3t"))
	smtptest.Talk(t, p.Addrs[0], `
		S: 220
		C: EHLO printer
		S: 250 SIZE 2868928
		C: QUIT
		S: 221
	`)
	p.Stop(t)
}

// Settings for Graph that can never work are errors at the start.
func TestWrongGraphSettings(t *testing.T) {
	const base = "-allow 10.0.0.0/8 -spool /nowhere/at/all -graph relay@example.com "
	app := base + "-oauth-tenant example.com -oauth-client 1111 -oauth-secret-file " + peers.File(t, "s3cr3t") + " "
	for args, want := range map[string]string{
		base:                              "-graph: needs -oauth-tenant",
		app + "-graph-host 192.0.2.1":     "Endpoint has an IP address",
		app + "-graph-rate -1":            "Rate is negative",
		app + "-graph a/b@example.com":    "-graph: is neither the address of a mailbox",
		app + "-graph relay":              "-graph: is neither the address of a mailbox",
		app + "-user u@example.com":       "-user: needs -upstream",
		app + "-max-size 36M":             "-max-size: is more than 2868928 bytes",
		app + "-graph-host http://x.test": `-graph-host: "http://x.test" is not host or host:port`,
	} {
		if got := peers.RefuseSelf(t, asMain, strings.Fields(args)...); !strings.Contains(got, want) || strings.Contains(got, "s3cr3t") {
			t.Errorf("%s: %s\nwant %q", args, got, want)
		}
	}
}
