package browser

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestSmoke(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'")
		w.Write([]byte(`<!doctype html><title>x</title><main><p style="color:red">Hi</p><img src=x></main>`))
	}))
	defer s.Close()
	b := startBrowser(t)
	b.look(400, "dark")
	b.open(s.URL)
	t.Log(b.text(), b.overflow(), b.takeComplaints())
	for _, f := range b.faults() {
		t.Log(f)
	}
	b.screenshot(t.TempDir() + "/x.png")
}
