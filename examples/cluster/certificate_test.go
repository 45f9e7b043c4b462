//go:build unix

package main

import (
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

type memoryStore struct{ *memory.Store }

func (memoryStore) Close() error { return nil }

// New sessions use a certificate that was renewed, after SIGHUP. One that is not valid
// changes nothing, and the log names the files.
func TestCertificate(t *testing.T) {
	first, second := smtptest.Certificate(t, "mx.example.com"), smtptest.Certificate(t, "mx.example.com")
	file := peers.File(t, string(peers.PEM(t, &first)))
	s := settings{hostname: "mx.example.com", state: t.TempDir(), database: "postgres://", tls: certificate{cert: file, key: file}}
	if err := s.addDomain("example.com=10.1.0.5"); err != nil {
		t.Fatal(err)
	}
	relay, err := newRelay(&s, slog.New(slog.DiscardHandler), func(*settings, *slog.Logger) (store, error) { return memoryStore{new(memory.Store)}, nil })
	if err != nil {
		t.Fatal(err)
	}
	peers.CloseAtEnd(t, relay.Closers...)
	srv := relay.Listeners[0].Server
	policytest.New(t, srv).Talk(t, "192.0.2.1", "S: 220\nC: EHLO client.test\nS: 250 STARTTLS\nC: STARTTLS\nS: 220\nTLS\nC: EHLO client.test\nS: 250")
	var log strings.Builder
	reload := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		hup := make(chan os.Signal, 1)
		hup <- syscall.SIGHUP
		close(hup)
		s.tls.hangups(hup, slog.New(slog.NewTextHandler(&log, nil)))
	}
	inUse := func() string {
		c, err := srv.TLSConfig.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return string(c.Certificate[0])
	}
	reload("nothing")
	if inUse() != string(first.Certificate[0]) || !strings.Contains(log.String(), "-cert: "+file+" with -key "+file) {
		t.Errorf("another certificate is in use after\n%s", log.String())
	}
	reload("\ufeff" + string(peers.PEM(t, &second)))
	if inUse() != string(second.Certificate[0]) || !strings.Contains(log.String(), "msg=reloaded") {
		t.Errorf("another certificate is in use after\n%s", log.String())
	}
	for want, c := range map[string]*certificate{"are required together": {cert: file}, "-key: open /nowhere": {cert: file, key: "/nowhere/at/all"}} {
		if _, err := c.config(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
