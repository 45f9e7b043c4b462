package antispam

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// checkSettings checks settings, and returns the exit status and the output.
func checkSettings(t *testing.T, settings ...string) (int, string) {
	t.Helper()
	var out strings.Builder
	lines := append([]string{"hostname: mx.example.com", "spool: " + t.TempDir()}, settings...)
	for i := 2; i < len(lines); i++ {
		lines[i] = "filters." + lines[i]
	}
	status := testGateway().Run([]string{"-config", peers.File(t, strings.Join(lines, "\n")+"\n"), "-check"}, &out, &out)
	return status, out.String()
}

// Settings that can never work, or that contradict others, are errors that name them.
func TestWrongSettings(t *testing.T) {
	empty, rules := peers.File(t, "\n"), peers.File(t, "rule x\nthen discard\n")
	binary := peers.File(t, "\xff\x00")
	for settings, want := range map[string]string{
		"scan.rspamd: 11332":                                                  `:3: filters.scan.rspamd: "11332" is neither an address with a port`,
		"scan.rspamd: http://127.0.0.1":                                       `:3: filters.scan.rspamd: "http://127.0.0.1" is neither an address with a port`,
		"scan.spamassassin: host:0":                                           `:3: filters.scan.spamassassin: "host:0" is neither`,
		"scan.clamd: clamd.sock":                                              `:3: filters.scan.clamd: "clamd.sock" is neither`,
		"scan.spam-down: reject":                                              `:3: filters.scan.spam-down: "reject" is not one of defer, accept`,
		"scan.spam-down: accept":                                              ":3: filters.scan.spam-down: has no effect without a spam scanner",
		"scan.virus-down: accept":                                             ":3: filters.scan.virus-down: has no effect without filters.scan.clamd",
		"scan.virus-max-size: 3M":                                             ":3: filters.scan.virus-max-size: has no effect without filters.scan.clamd",
		"scan.virus-timeout: 1m":                                              ":3: filters.scan.virus-timeout: has no effect without filters.scan.clamd",
		"scan.virus-timeout: 20m\nscan.clamd: /x":                             ":3: filters.scan.virus-timeout: 20m0s is not from 1s to 9m0s",
		"scan.spam-timeout: 1m\nscan.clamd: /x":                               ":3: filters.scan.spam-timeout: has no effect without a spam scanner",
		"scan.spam-timeout: 1ms\nscan.rspamd: /x":                             ":3: filters.scan.spam-timeout: 1ms is not from 1s to 9m0s",
		"milters: /x; timeout=never":                                          `:3: filters.milters[0].timeout: "never" is not a time such as 90s`,
		"milters: /x; timeout=0s":                                             `:3: filters.milters[0].timeout: "0s" is not a time such as 90s`,
		"milters: /x; timeout=-1s":                                            ":3: filters.milters[0].timeout: -1s is not from 1s to 9m0s",
		"scan.virus-oversize: accept":                                         ":3: filters.scan.virus-oversize: has no effect without filters.scan.clamd",
		"scan.virus-outgoing: true":                                           ":3: filters.scan.virus-outgoing: has no effect without filters.scan.clamd",
		"attachments.outgoing: true":                                          ":3: filters.attachments.outgoing: has no effect without filters.attachments.names or types",
		"scan.spam-max-size: 3M\nscan.rspamd: /x":                             ":3: filters.scan.spam-max-size: has no effect without filters.scan.spamassassin",
		"scan.mark-level: 5\nscan.rspamd: /x":                                 ":3: filters.scan.mark-level: has no effect without filters.scan.spamassassin or a rule",
		"scan.reject-level: 10\nscan.spamassassin: /x":                        ":3: filters.scan.reject-level: 10 is not from 1 to 9",
		"scan.mark-level: 9\nscan.reject-level: 9\nscan.spamassassin: /x":     ":3: filters.scan.mark-level: has no effect without a level below filters.scan.reject-level",
		"scan.mark-subject: [SPAM]\nscan.spamassassin: /x":                    ":3: filters.scan.mark-subject: has no effect without filters.scan.mark-level",
		"scan.mark-subject: [\rX]\nscan.mark-level: 5\nscan.spamassassin: /x": ":3: filters.scan.mark-subject: ",
		"scan.quarantine-level: 5\nscan.spamassassin: /x":                     ":3: filters.scan.quarantine-level: has no effect without filters.quarantine",
		"quarantine: q@example.com":                                           ":3: filters.quarantine: has no effect: no milter",
		"quarantine: nowhere\nscan.rspamd: /x":                                `:3: filters.quarantine: "nowhere" is not an address`,
		"milters: x":                                                          `:3: filters.milters[0].address: "x" is neither`,
		"milters: /x | /y; down=sometimes":                                    `:3: filters.milters[1].down: "sometimes" is not one of defer, accept`,
		"milters: /x | /x":                                                    ":3: filters.milters[1].address: /x is there twice",
		"milters: down=accept":                                                `:3: filters.milters[0].address: "" is neither`,
		"milters: " + strings.Repeat("/x | ", 20) + "/x":                      ":3: filters.milters: has 21 values, more than 16",
		"attachments.names: [a":                                               `:3: filters.attachments.names[0]: bad pattern "[a"`,
		"attachments.types: *.exe":                                            `:3: filters.attachments.types[0]: bad media type "*.exe"`,
		"attachments.action: strip":                                           ":3: filters.attachments.action: has no effect without filters.attachments.names or types",
		"attachments.unreadable: accept":                                      ":3: filters.attachments.unreadable: has no effect without filters.attachments.names or types",
		"rules: /nowhere":                                                     ":3: filters.rules: open /nowhere",
		"rules: " + empty:                                                     ":3: filters.rules: " + empty + ": has no rule",
		"disclaimer.text: " + rules:                                           ":3: filters.disclaimer.text: needs filters.disclaimer.from or filters.disclaimer.to",
		"disclaimer.text: " + empty + "\ndisclaimer.from: example.com":        ":3: filters.disclaimer.text: " + empty + " is empty",
		"disclaimer.text: " + binary + "\ndisclaimer.from: example.com":       ":3: filters.disclaimer.text: " + binary + " is not text",
		"disclaimer.html: " + rules:                                           ":3: filters.disclaimer.html: has no effect without filters.disclaimer.text",
		"disclaimer.from: example.com":                                        ":3: filters.disclaimer.from: has no effect without filters.disclaimer.text",
		"disclaimer.to: *\ndisclaimer.text: " + rules:                         ":3: filters.disclaimer.to[0]: bad pattern \"*\"",
		"greylist.delay: 10ms":                                                ":3: filters.greylist.delay: 10ms is not from 1s to 24h0m0s",
		"greylist.delay: 1h\ngreylist.window: 30m":                            ":4: filters.greylist.window: 30m0s is not longer than the delay",
		"greylist.window: 3h":                                                 ":3: filters.greylist.window: has no effect without filters.greylist.delay",
		"greylist.known-after: 3":                                             ":3: filters.greylist.known-after: has no effect without filters.greylist.delay",
		"greylist.known-after: -2\ngreylist.delay: 5m":                        ":3: filters.greylist.known-after: -2 is not from 1",
		"rates: address; per=1h":                                              ":3: filters.rates[0]: has neither messages nor recipients",
		"rates: address; messages=0; per=1h":                                  `:3: filters.rates[0].messages: "0" is not a number from 1`,
		"rates: address; messages=3":                                          `:3: filters.rates[0].per: "" is not a time`,
		"rates: identity; messages=3; per=1h":                                 `:3: filters.rates[0].by: "identity" is not one of address, network, sender, sender-domain`,
		"rates: address; messages=3; per=1h | address; messages=3; per=60m":   ":3: filters.rates[1]: is there twice",
		"rates: " + strings.Repeat("address; messages=3; per=1h | ", 20) + "sender; per=1h": ":3: filters.rates: has 21 values, more than 20",
		"reputation.block-level: 10":                           ":3: filters.reputation.block-level: 10 is not from 1 to 9",
		"reputation.block-time: 1h":                            ":3: filters.reputation.block-time: has no effect without filters.reputation.block-level",
		"reputation.min-points: 3":                             ":3: filters.reputation.min-points: has no effect without filters.reputation.block-level",
		"reputation.min-points: -3\nreputation.block-level: 7": ":3: filters.reputation.min-points: -3 is not from 1",
		"tarpit.delay: 5m":                                     ":3: filters.tarpit.delay: 5m0s is not from 10ms to 4m0s",
		"tarpit.delay: 5s\ntarpit.max: 1s":                     ":4: filters.tarpit.max: 1s is shorter than the delay, which is 5s",
		"tarpit.max: 1s":                                       ":3: filters.tarpit.max: has no effect without filters.tarpit.delay",
		"exempt: 0.0.0.0/0\nreputation.block-level: 7":         ":3: filters.exempt: 0.0.0.0/0 has all clients",
		"state: " + rules:                                      ":3: filters.state: " + rules + " is not a folder",
		"scan.rspamd: 11332\ntarpit.max: 1s":                   ":4: filters.tarpit.max: has no effect", // all faults are reported
	} {
		status, out := checkSettings(t, strings.Split(settings, "\n")...)
		if status != 2 || !strings.Contains(out, want) {
			t.Errorf("%q: status %d\n%swant %q", settings, status, out, want)
		}
	}
}

// All settings together are valid, and a gateway without any filter is too.
func TestRightSettings(t *testing.T) {
	rules, text := peers.File(t, "rule x\nthen discard\n"), peers.File(t, "Example Ltd\n")
	all := []string{"scan.rspamd: 127.0.0.1:11332", "scan.spamassassin: [::1]:783", "scan.clamd: /run/clamav/clamd.ctl", "scan.spam-down: accept", "scan.virus-down: accept",
		"scan.virus-max-size: 25M", "scan.virus-oversize: accept", "scan.spam-timeout: 90s", "scan.virus-timeout: 9m", "scan.virus-outgoing: true", "attachments.outgoing: true", "scan.spam-max-size: 500K", "scan.mark-level: 5", "scan.mark-subject: [SPAM] ", "scan.quarantine-level: 7", "scan.reject-level: 9",
		"quarantine: quarantine@example.com", "milters: /run/opendkim/opendkim.sock | 127.0.0.1:8892; down=accept; timeout=90s", "attachments.names: *.exe", "attachments.types: video/*",
		"attachments.action: strip", "attachments.unreadable: accept", "rules: " + rules, "disclaimer.text: " + text, "disclaimer.html: " + text, "disclaimer.from: example.com", "disclaimer.to: <>,*.example.net",
		"greylist.delay: 5m", "greylist.window: 48h", "greylist.known-after: -1", "rates: address; messages=100; per=1h | sender; messages=5; recipients=500; per=24h", "reputation.block-level: 7",
		"reputation.block-time: 24h", "reputation.min-points: 20", "tarpit.delay: 5s", "tarpit.max: 30s", "exempt: 192.0.2.0/24", "state: /nowhere"}
	if status, out := checkSettings(t, all...); status != 0 {
		t.Errorf("status %d\n%s", status, out)
	}
	for _, one := range [][]string{nil, {"tarpit.delay: 1m"}, {"scan.mark-level: 9", "scan.spamassassin: spam.example.com:783"}} {
		if status, out := checkSettings(t, one...); status != 0 {
			t.Errorf("%v: status %d\n%s", one, status, out)
		}
	}
}

// -check warns of a size that is announced and then refused.
func TestSizeWarning(t *testing.T) {
	for settings, want := range map[string]string{
		"scan.clamd: /x": "warning: filters.scan.virus-max-size is 25MiB and max-size is 36MiB",
		"scan.clamd: /x\nscan.virus-max-size: 35M":    "warning: filters.scan.virus-max-size is 35MiB and max-size is 36MiB",
		"scan.clamd: /x\nscan.virus-max-size: 36M":    "",
		"scan.clamd: /x\nscan.virus-oversize: accept": "",
		"scan.rspamd: /x": "",
	} {
		status, out := checkSettings(t, strings.Split(settings, "\n")...)
		if status != 0 || !strings.Contains(out, want) || want == "" && strings.Contains(out, "virus-max-size") {
			t.Errorf("%q: status %d\n%swant %q", settings, status, out, want)
		}
	}
}

// The folder of the state cannot change while the gateway runs.
func TestStateIsFixed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.configure("filters.state: /elsewhere")
	w.hup()
	want := fmt.Sprintf("%s:4: filters.state: cannot change without a restart", w.config)
	peers.Await(t, want, func() bool { return strings.Contains(w.Log(), want) })
	w.Stop(t)
}
