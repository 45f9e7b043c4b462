package main

import (
	"log/slog"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv("DUALHOMED_MAIN") != "" { // this test program as the command
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

func TestWrongSettingsAreNamed(t *testing.T) {
	good := settings{inside: "10.1.0.25:25", outside: "192.0.2.25:25", networks: "10.1.0.0/16", domain: "example.com",
		organization: "mail.example.com", spool: t.TempDir()}
	for want, change := range map[string]func(*settings){
		"-networks: is required":            func(s *settings) { s.networks = "" },
		`-networks: policy: network "10.1"`: func(s *settings) { s.networks = "10.0.0.0/8,10.1" },
		"open relay":                        func(s *settings) { s.networks = "0.0.0.0/0" },
		"-domain":                           func(s *settings) { s.domain = "" },
		"-organization":                     func(s *settings) { s.organization = "" },
		"both are 192":                      func(s *settings) { s.inside = s.outside },
		`-inside: "0.0.0.0:25"`:             func(s *settings) { s.inside = "0.0.0.0:25" },
		`-outside: ":25"`:                   func(s *settings) { s.outside = ":25" },
	} {
		s := good
		change(&s)
		if _, err := newRelay(&s, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}
