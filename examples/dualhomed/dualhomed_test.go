package main

import (
	"maps"
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
	good := map[string]string{"inside": "10.1.0.25:25", "outside": "192.0.2.25:25", "networks": "10.1.0.0/16", "domain": "example.com",
		"organization": "mail.example.com", "spool": t.TempDir()}
	for want, change := range map[string][2]string{
		"-networks: is required":          {"networks", ""},
		`policy: network "10.1"`:          {"networks", "10.0.0.0/8,10.1"},
		"open relay":                      {"networks", "0.0.0.0/0"},
		"-domain: is required":            {"domain", ""},
		"-organization: is required":      {"organization", ""},
		`-organization: "a:b:c" is not`:   {"organization", "a:b:c"},
		`-domain: accepted domain "a..b"`: {"domain", "a..b"},
		"is also the address of inside":   {"inside", "192.0.2.25:25"},
		`-inside: "0.0.0.0:25"`:           {"inside", "0.0.0.0:25"},
		`-outside: ":25"`:                 {"outside", ":25"},
	} {
		settings := maps.Clone(good)
		settings[change[0]] = change[1]
		var args []string
		for name, value := range settings {
			args = append(args, "-"+name+"="+value)
		}
		if _, err := assemble(args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", change, err, want)
		}
	}
}
