package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// When the upstream is down, the command and the URL are called.
func TestAlarm(t *testing.T) {
	posted := make(chan string, 10)
	web := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body struct{ Text string }
		text, _ := io.ReadAll(r.Body)
		json.Unmarshal(text, &body)
		posted <- body.Text
	}))
	defer web.Close()
	dir := t.TempDir()
	command, out := filepath.Join(dir, "page"), filepath.Join(dir, "out")
	if err := os.WriteFile(command, []byte("#!/bin/sh\necho \"$1\" > "+out+".new; cat >> "+out+".new; mv "+out+".new "+out), 0o700); err != nil {
		t.Fatal(err)
	}
	p := relay(t, "-upstream", peers.FreeAddr(t), "-alarm-after", "1s", "-alarm-command", command, "-alarm-command", "mail, $(id); down", "-alarm-url", web.URL+"/s3cret")
	send(t, p, "printer@example.com", "admin@example.net")
	const want = "relay.example.com: no mail gets through: the oldest of 1 waiting messages is "
	select {
	case got := <-posted:
		if !strings.HasPrefix(got, want) || !strings.Contains(got, "refused") {
			t.Errorf("posted %q", got)
		}
	case <-time.After(time.Minute):
		t.Fatal("nothing was posted")
	}
	text, err := os.ReadFile(out) // the command is called first
	if err != nil || !strings.HasPrefix(string(text), "mail, $(id); down\n"+want) {
		t.Errorf("%v: the command got %q", err, text)
	}
	p.Stop(t)
	if len(posted) > 0 {
		t.Error("posted twice")
	}
	if log := p.Log(); !strings.Contains(log, "no mail gets through") || strings.Contains(log, "s3cret") {
		t.Error("the log has no line about the alarm, or it has the URL")
	}
}
