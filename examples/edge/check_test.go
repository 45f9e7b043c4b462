package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// check runs edge -check.
func check(t *testing.T, path string) (out string, err error) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-check", "-config", path)
	cmd.Env = append(os.Environ(), "EDGE_MAIN=1")
	b, err := cmd.CombinedOutput()
	return string(b), err
}

func TestSampleIsValid(t *testing.T) {
	if out, err := check(t, "edge.yaml"); err != nil || out != "the settings are valid\n" {
		t.Errorf("-check: %v\n%s", err, out)
	}
}

// The file may be written by an editor of Windows.
func TestSampleFromNotepad(t *testing.T) {
	text, err := os.ReadFile("edge.yaml")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: t.TempDir()}
	path := w.file("edge.yaml", "\ufeff"+strings.ReplaceAll(string(text), "\n", "\r\n"))
	if out, err := check(t, path); err != nil || out != "the settings are valid\n" {
		t.Errorf("-check: %v\n%s", err, out)
	}
}

var commented = regexp.MustCompile(`(?m)^( *)# ((?:  )*(?:- )?[a-z][a-z0-9-]*:(?: .*)?)$`)

// The settings that are comments in the sample are valid too, all together.
func TestCommentsOfSampleAreValid(t *testing.T) {
	text, err := os.ReadFile("edge.yaml")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: t.TempDir()}
	cert, key := w.pemFiles("cert", smtptest.Certificate(t, "edge.example.com"))
	w.dkimKey()
	w.accounts("organization", "sesame")
	w.file("password", "sesame\n")
	w.file("rules", "rule external mail\n  if not from example.com\n  then subject \"[EXTERNAL] \"\n")
	w.file("disclaimer.txt", "Confidential.\n")
	w.file("disclaimer.html", "<p>Confidential.</p>\n")
	all := commented.ReplaceAllString(string(text), "$1$2")
	if n := len(commented.FindAllString(string(text), -1)); n < 80 {
		t.Errorf("%d settings are comments", n)
	}
	all = strings.NewReplacer("/etc/edge/cert.pem", cert, "/etc/edge/key.pem", key, "/etc/edge/organization.pem", cert, "/etc/edge", w.dir).Replace(all)
	if err := valid("-config", w.file("edge.yaml", all), "-spool", filepath.Join(w.dir, "spool"), "-logs", filepath.Join(w.dir, "logs")); err != nil {
		t.Error(err)
	}
}

// Each error is reported with its line. Each case changes the sample: it replaces
// the text on the left of => by the text on the right.
func TestErrorsByLine(t *testing.T) {
	sample, err := os.ReadFile("edge.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ change, at, want string }{
		{"hostname: edge.example.com => hostnam: edge.example.com", "hostnam:", "hostnam: is not a setting"},
		{"hostname: edge.example.com => hostname: a: b", "hostname: a", "mapping values are not allowed"},
		{"hostname: edge.example.com => hostname:", "hostname:", "hostname: has no value"},
		{"hostname: edge.example.com => hostname: a..b", "hostname:", `"a..b"`},
		{"hostname: edge.example.com => hostname: -x", "hostname:", `"-x" is not a host name`},
		{"hostname: edge.example.com => hostname: 10.0.0.1", "hostname:", `"10.0.0.1" is not a host name`},
		{"hostname: edge.example.com => hostname: edge_1", "hostname:", `"edge_1" is not a host name`},
		{"listen: 127.0.0.1:2526 => listen: 127.0.0.1:2525", "really \"10.0.0.1:25", "receive.organization.listen: 127.0.0.1:2525 is also used by receive.internet.listen"},
		{"listen: 127.0.0.1:2526 => listen: :2525", "really \"10.0.0.1:25", "receive.organization.listen: :2525 is also used by receive.internet.listen"},
		{"filters:\n => ---\nfilters:\n", "---", "a second document"},
		{"filters:\n => ...\n---\nfilters:\n", "---", "a second document"},
		{"recipients: [alice, bob, postmaster, abuse] => recipients: []", "recipients: []", "domains[0].recipients: has no recipients"},
		{"recipients: [alice, bob, postmaster, abuse] => recipients:", "    recipients:", "domains[0].recipients: has no recipients"},
		{"recipients: [alice, bob, postmaster, abuse] => recipients: ~", "recipients: ~", "domains[0].recipients: has no recipients"},
		{"recipients: [alice, bob, postmaster, abuse] => recipients: [~]", "recipients: [~]", "domains[0].recipients[0]: not a value"},
		{"recipients: [alice, bob, postmaster, abuse] => recipients-file:", "recipients-file:", "domains[0].recipients-file: has no value"},
		{"spool: spool => spool: \"\"", "spool: \"\"", "spool: is required"},
		{"# console: 127.0.0.1:8025 => console: \":8025\"", "console:", "console: Address: :8025 can be reached from other hosts"},
		{"# dns: [127.0.0.1] => dns:\n  - 127.0.0.1\n  - ns.example.com", "  - ns.example.com", `dns[1]: "ns.example.com" is not an address`},
		{"# key: /etc/edge/key.pem => key: /nowhere", "key: /nowhere", "key: -cert and -key are required together"},
		{"# cert: /etc/edge/cert.pem => cert: /nowhere\nkey: edge.yaml", "cert: /nowhere", "cert: open /nowhere"},
		{`"*.example.com" # => "*.com" #`, `"*.com"`, "that would be an open relay"},
		{`"*.example.com" # => "example.com" #`, `"example.com" #`, "domains[1].name: accepted domain \"example.com\": listed twice"},
		{`"*.example.com" # => "exa mple" #`, `"exa mple"`, "not a domain name"},
		{"kind: internal relay => kind: relay", "kind: relay", `domains[1].kind: "relay" is not one of`},
		{"recipients: [alice, bob, postmaster, abuse] => recipients-file: /nowhere", "recipients-file: /nowhere", "domains[0].recipients-file: "},
		{"listen: 127.0.0.1:2525 => listen: here", "listen: here", `receive.internet.listen: "here" is not an address with a port`},
		{"[127.0.0.1] # really => [127.0.0.1, 10.0.0.0/33] # really", "10.0.0.0/33", "externally-secured[1]: network \"10.0.0.0/33\": not a prefix"},
		{"[127.0.0.1] # really => [0.0.0.0/0] # really", "0.0.0.0/0", "that would be an open relay"},
		{"[127.0.0.1] # really => [] # really", "externally-secured: []", "receive.organization.externally-secured: is required, unless accounts is set"},
		{"# accounts: /etc/edge/accounts => accounts: /nowhere", "accounts: /nowhere", "receive.organization.accounts: open /nowhere"},
		{"# accounts: /etc/edge/accounts => accounts: edge.yaml", "accounts: edge.yaml", "passwords are accepted only over TLS"},
		{"# accounts: /etc/edge/accounts => accounts: edge.yaml", "accounts: edge.yaml", "edge.yaml:15: want name:hash"},
		{"cost: 10  => cost: 101", "cost:", "send.internet.cost: 101 is not 1 to 100"},
		{"cost: 10  => cost: ten", "cost:", `send.internet.cost: "ten" is not a number`},
		{"# port: 25 => port: 70000", "port: 70000", "send.internet.port: 70000"},
		{"# tls: opportunistic => tls: always", "tls: always", `send.internet.tls: unknown TLS level "always": must be one of default, none, opportunistic,`},
		{`127.0.0.1:2602 => "127.0.0.1:smtp"`, "127.0.0.1:smtp", "send.organization.smart-hosts[1]: "},
		{"weight: 1 => weight: 100000", "127.0.0.1:2602", "weight 100000 is not"},
		{"# user: edge => user: edge", "user: edge", "user and password-file must be set together"},
		{"# roots: /etc/edge/organization.pem => roots: edge.yaml", "roots: edge.yaml", "no certificate in edge.yaml"},
		{"[192.0.2.0/24] => [192.0.2.0/24, x]", "192.0.2.0", "filters.connection.block[1]: network \"x\": neither"},
		{"block-lists: []  => block-lists: [a b]", "    block-lists", "filters.connection.block-lists[0]: "},
		{"[postmaster, abuse] => [postmaster, a b]", "[postmaster, a b]", "filters.connection.except-recipients[1]: "},
		{"[spam.example] => [spam example]", "[spam example]", "filters.sender.domains[0]: "},
		{"[alice, bob, postmaster, abuse] => [alice, b b]", "[alice, b b]", "domains[0].recipients[1]: "},
		{"[all@example.com] => [all@]", "[all@]", "filters.recipient.internal[0]: "},
		{"spoofing: true => spoofing: perhaps", "  spoofing:", `filters.spoofing: "perhaps" is not true or false`},
		{"spf: check => spf: perhaps", "  spf:", `filters.spf: "perhaps" is not one of`},
		{"# mta-sts: true => tls: domain\n    mta-sts: true", "mta-sts: true", "send.internet.mta-sts: has no effect at the TLS level domain"},
		{"# dane: true => dane: true", "dane: true", "send.internet.dane: needs -dnssec"},
		{"# tls-reports: => tls-reports:", "tls-reports:", "send.internet.tls-reports: needs a DKIM key for example.com"},
		{"# dkim:\n  #   domain: => dkim:\n    domain:", "  dkim:", "send.dkim.selector: is required"},
		{"# arc: check => arc: seal", "arc: seal", "filters.arc: seal needs the key"},
		{"# scan:\n  #   rspamd: 127.0.0.1:11332 => scan:\n    rspamd: here", "rspamd: here", "filters.scan.rspamd: "},
		{"# rates:\n  #   - by: address\n => rates:\n    - by: address\n", "- by: address", "filters.rates[0]"},
		{"# greylist:\n  #   delay: 5m => greylist:\n    delay: 5", "delay: 5", `filters.greylist.delay: "5" is not a duration`},
		{"no-ptr: ignore => no-ptr: perhaps", "no-ptr:", `filters.client-name.no-ptr: "perhaps" is not one of ignore, tag,`},
		{"# old-tls: true => old-tls: true", "old-tls: true", "receive.organization.old-tls: needs cert and key"},
		{"# old-tls-login: true => old-tls-login: true", "old-tls-login: true", "receive.organization.old-tls-login: needs old-tls"},
		{"internal: [] => internal: [0.0.0.0/33]", "internal: [0.0.0.0/33]", "filters.connection.internal[0]: "},
		{"# pause: none => pause: everything", "pause: everything", `pause: "everything" is not one of none, receiving,`},
		{"spf: check => spf: none", "  dmarc:", "filters.dmarc: uses the results of SPF and DKIM"},
	} {
		from, to, _ := strings.Cut(c.change, " => ")
		if !bytes.Contains(sample, []byte(from)) {
			t.Fatalf("the sample has no %q", from)
		}
		text := strings.Replace(string(sample), from, to, 1)
		path := filepath.Join(t.TempDir(), "edge.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := valid("-config", path)
		where := fmt.Sprintf("%s:%d: ", path, lineOf(t, text, c.at))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), where) {
			t.Errorf("%s:\n%v\nwant %q at %q", c.change, err, c.want, where)
		}
	}
}

// valid checks settings, as -check does.
func valid(args ...string) error {
	_, err := assemble(args...)
	return err
}

// assemble makes an edge that does not run.
func assemble(args ...string) (*gateway.Gateway, error) {
	return command.Assemble(args...)
}

// sample is an edge with the settings of edge.yaml, and more.
func sample(t *testing.T, more ...string) *gateway.Gateway {
	t.Helper()
	relay, err := assemble(append([]string{"-config", "edge.yaml", "-logs", t.TempDir()}, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	return relay
}

// lineOf is the number of the line in which part begins for the first time.
func lineOf(t *testing.T, text, part string) int {
	t.Helper()
	before, _, found := strings.Cut(text, part)
	if !found {
		t.Fatalf("there is no %q", part)
	}
	return 1 + strings.Count(before, "\n")
}

// -check fails and reports all errors of a file.
func TestCheckFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "edge.yaml")
	if err := os.WriteFile(path, []byte("hostname: edge.example.com\ndomains: []\nsend:\n  internet: {cost: 0}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := check(t, path)
	if err == nil {
		t.Error("-check succeeded")
	}
	for _, want := range []string{path + ":2: domains: is required", path + ":4: send.internet.cost: ", path + ":3: send.organization.smart-hosts: is required",
		"-receive.organization.listen: is required", "-spool: is required"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if out, err := check(t, path+".not"); err == nil || !strings.Contains(out, "no such file") {
		t.Errorf("a file that is not there: %v, %s", err, out)
	}
}

// The sample relays no mail for strangers at either listener.
func TestNoOpenRelay(t *testing.T) {
	// The subdomains of example.com are internal relays, which accept each name.
	for _, l := range sample(t).Listeners {
		policytest.OpenRelay(t, policytest.New(t, l.Server), "example.com")
	}
}

// Mail for the organization has one connector, also while its servers are down.
// Mail from the internet has none that leads back to the internet.
func TestConnectorsOfRecipients(t *testing.T) {
	router := sample(t).Queue.Deliverer.(*routing.Router)
	defer router.Close()
	for _, c := range []struct{ origin, to, want string }{
		{"internet", "alice@example.com", "organization"},
		{"organization", "alice@example.com", "organization"},
		{"dsn", "alice@sub.example.com", "organization"},
		{"organization", "carol@example.net", "internet"},
		{"dsn", "carol@example.net", "internet"},
		{"internet", "carol@example.net", ""},
	} {
		var fit []string
		for _, k := range router.Explain(t.Context(), routing.Question{To: c.to, Origin: queue.Origin{Connector: c.origin}}).Candidates {
			if k.Space != "" && k.Eligibility == routing.Eligible {
				fit = append(fit, k.Connector)
			}
		}
		if got := strings.Join(fit, ","); got != c.want {
			t.Errorf("from %s, %s can take the connectors %q, want %q", c.origin, c.to, got, c.want)
		}
	}
}

// The organization can have a queue lifetime and a delay notice of its own.
func TestTimesOfTheOrganization(t *testing.T) {
	relay := sample(t, "-send.organization.expire", "120h", "-send.organization.delay-notice", "4h", "-expire", "24h")
	router := relay.Queue.Deliverer.(*routing.Router)
	defer router.Close()
	if p := router.Pace(queue.NextHop{Connector: "organization", Destination: "organization"}); p.Expiry != 120*time.Hour || p.DelayNotice != 4*time.Hour {
		t.Errorf("organization: %+v", p)
	}
	if p := router.Pace(queue.NextHop{Connector: "internet", Destination: "example.net"}); p.Expiry != 0 || p.DelayNotice != 0 {
		t.Errorf("internet: %+v, want the defaults of the queue", p)
	}
}

// The systemd unit, with this program in place of edge. If systemd is installed,
// it checks the unit too.
func TestUnit(t *testing.T) {
	unit, err := os.ReadFile("edge.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\nExecReload=/bin/kill -HUP $MAINPID\n", "\nNoNewPrivileges=yes\n", "\nProtectSystem=strict\n",
		"\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\n"} {
		if !bytes.Contains(unit, []byte(want)) {
			t.Errorf("the unit has no %q", want)
		}
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("without systemd-analyze")
		return
	}
	path := filepath.Join(t.TempDir(), "edge.service")
	if err := os.WriteFile(path, bytes.ReplaceAll(unit, []byte("/usr/local/bin/edge"), []byte(os.Args[0])), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", path).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze: %v\n%s", err, out)
	}
}

// Accounts whose lines would be understood in another way than an administrator
// expects are errors. They name the line, not the text.
func TestAccountsFile(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("sesame"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"\ufeffsrv:HASH\r\n":              "", // by Notepad
		"srv:HASH\n# srv:HASH\n":          "",
		"srv:HASHjunk\n":                  ":1: there is text after the hash",
		"srv:HASH:extra field\n":          ":1: there is text after the hash",
		"Srv:HASH\n":                      "", // case does not matter
		"a:HASH\nsrv:HASH\nA:HASH\n":      ":3: the name is also in line 1",
		"srv:$2a$31$" + string(hash[7:]):  ":1: the cost 31 of the hash is more than 16",
		"srv:sesame\n":                    ":1: want name:hash",
		"srv:" + string(hash[:58]) + "\n": ":1: want name:hash",
	} {
		text = strings.TrimPrefix(strings.ReplaceAll(text, "HASH", string(hash)), "\ufeff") // as Kit.ReadFile does
		a, err := parseAccounts("accounts", text)
		switch {
		case want == "" && (err != nil || a.check(t.Context(), nil, "srv", "sesame") != nil):
			t.Errorf("%q: %v", text, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "sesame")):
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
