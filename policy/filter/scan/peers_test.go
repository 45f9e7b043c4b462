//go:build unix

package scan

import (
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy/filter/content"
	"github.com/bridgehead-mail/bridgehead/policy/internal/agenttest"
)

func TestRealSpamd(t *testing.T) {
	peers.Need(t, "spamd")
	dir, site := peers.OpenDir(t), peers.OpenDir(t)
	agenttest.File(t, site, "init.pre", "loadplugin Mail::SpamAssassin::Plugin::Check\n")
	agenttest.File(t, dir, "test.cf", "required_score 5\nbody BRIDGEHEAD_SPAM /BRIDGEHEAD-TEST-OF-SPAM/\nscore BRIDGEHEAD_SPAM 7.5\n")
	addr := peers.FreeAddr(t)
	host, port, _ := strings.Cut(addr, ":")
	peers.Program(t, addr, "spamd", "--local", "--nouser-config", "--max-children=1", "--min-children=1",
		"--listen="+host, "--port="+port, "--configpath="+dir, "--siteconfigpath="+site, "--helper-home-dir="+dir, "--syslog=stderr")
	c := &Spamd{Address: addr}
	f := (&content.Filter{Mark: 5, Reject: 9}).Agent()
	got := agenttest.Relay(t, "a@example.org", to, mail, c.Agent(), f)
	want := strings.Replace(mail, "\r\n\r\n", "\r\nX-Spam-Status: No, score=0.0 required=5.0 tests=\r\nX-MS-Exchange-Organization-SCL: 0\r\n\r\n", 1)
	if got.Data != want {
		t.Errorf("clean mail is\n%s\nwant\n%s", got.Data, want)
	}
	got = agenttest.Relay(t, "a@example.org", to, mail+"BRIDGEHEAD-TEST-OF-SPAM\r\n", c.Agent(), f)
	if !strings.Contains(got.Data, "X-Spam-Status: Yes, score=7.5 required=5.0 tests=BRIDGEHEAD_SPAM\r\nX-MS-Exchange-Organization-SCL: 7\r\n") {
		t.Errorf("spam is\n%s", got.Data)
	}
}

func TestRealClamd(t *testing.T) {
	peers.Need(t, "clamd")
	socket, _ := peers.Clamd(t)
	c := &Clamd{Address: socket}
	if got := agenttest.Relay(t, "a@example.org", to, mail, c.Agent()); got.Data != mail {
		t.Errorf("clean mail was changed:\n%s", got.Data)
	}
	text := agenttest.Refused(t, 550, "a@example.org", to, mail+peers.Virus+"\r\n", c.Agent())
	if !strings.Contains(text, "Bridgehead.Test") {
		t.Errorf("refused with %q", text)
	}
	// Larger than clamd's limit (1 MiB): clamd closes the connection, and the
	// message does not pass.
	long := mail + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 40000)
	agenttest.Refused(t, 451, "a@example.org", to, long, c.Agent())
}
