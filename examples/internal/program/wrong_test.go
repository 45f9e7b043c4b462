package program

import (
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// A setting that is wrong, or that contradicts another one, is one error with the name of
// the setting and its line, also where a part of the relay finds the fault.
func TestWrongSetting(t *testing.T) {
	file := peers.File(t, "")
	for setting, want := range map[string]string{
		"max-recipients: -4":                      "-4 is negative",
		"max-connections: -1":                     "-1 is negative",
		"max-per-client: -1":                      "-1 is negative",
		"max-hops: -1":                            "-1 is negative",
		"rate: -3":                                "-3 is negative",
		"log-age: -1h":                            "-1h0m0s is negative",
		"expire: -1h":                             "-1h0m0s is negative",
		"printers: 10.1.0.0/33":                   `network "10.1.0.0/33": not a prefix`,
		"printers: 0.0.0.0/0":                     "relay network 0.0.0.0/0 contains a large part of the internet: that would be an open relay",
		"server: smtp.example.com:99999":          `"smtp.example.com:99999": the port "99999" is not a number from 1 to 65535`,
		"server: smtp://example.com":              `"smtp://example.com" is a URL, not a host: use "example.com"`,
		"server: mx1.example.com,mx2.example.com": `"mx1.example.com,mx2.example.com" is not one host`,
		"postmaster: admin":                       `"admin" has no domain`,
		"report-from: admin":                      `"admin" has no domain`,
		"dns: a:b:c":                              `Servers[0]: "a:b:c" is not a host name or an address`,
		"logs: " + file:                           file + "/tracking cannot be written: " + file + "/tracking: not a directory",
		"spool: " + file:                          file + "/logs/tracking cannot be written: " + file + "/logs/tracking: not a directory",
		"console-token: token":                    "has no effect without -console or -console-socket",
		"console-audit: audit":                    "has no effect without -console or -console-socket",
		"expire: 1h\ndelay-notice: 2h":            "2h0m0s is not less than -expire 1h0m0s: no notice would be sent",
	} {
		name, _, _ := strings.Cut(setting[strings.LastIndex(setting, "\n")+1:], ":")
		text := setting + "\nlisten: 127.0.0.1:0\nhostname: relay.example.com\ndomains: " + peers.File(t, "example.com\n") + "\n"
		for other, value := range map[string]string{"server": "192.0.2.1", "spool": t.TempDir()} {
			if name != other {
				text += other + ": " + value + "\n"
			}
		}
		config := peers.File(t, text)
		p := Program{Name: "office", New: func() Gateway { return new(office) }, ReadFile: readLines}
		var out, errs strings.Builder
		status := p.Run([]string{"-config", config, "-check"}, &out, &errs)
		// A setting with several values names the value, as postmaster[0].
		line := string(rune('1' + strings.Count(setting, "\n")))
		got := strings.Replace(errs.String(), name+"[0]", name, 1)
		if want = config + ":" + line + ": " + name + ": " + want + "\n"; status != 2 || got != want {
			t.Errorf("status %d\n%swant\n%s", status, errs.String(), want)
		}
	}
}

// An error of the command line is not followed by the explanations of all flags.
func TestWrongFlag(t *testing.T) {
	p := Program{Name: "office", New: func() Gateway { return new(office) }}
	run := func(args ...string) (int, string) {
		var out, errs strings.Builder
		status := p.Run(args, &out, &errs)
		return status, errs.String()
	}
	if status, got := run("-rate", "x"); status != 2 || got != "invalid value \"x\" for flag -rate: parse error\noffice -h explains each flag\n" {
		t.Errorf("status %d\n%s", status, got)
	}
	if status, got := run("-h"); status != 0 || !strings.HasPrefix(got, "Usage of office:\n") || !strings.Contains(got, "\n  -rate number\n") {
		t.Errorf("status %d\n%s", status, got)
	}
}
