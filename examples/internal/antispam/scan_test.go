//go:build unix

package antispam

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

const gtube = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\n"

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// rspamd refuses spam, and adds a field to other mail. While it is down, mail is deferred,
// or passes where the setting says so.
func TestRspamd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sock := filepath.Join(dir, "milter")
	tld := write(t, dir+"/tld", "com\n")
	conf := write(t, dir+"/rspamd.conf", `
options {
    pidfile = "`+dir+`/pid"; tempdir = "`+dir+`"; hs_cache_dir = "`+dir+`";
    control_socket = "`+dir+`/control mode=0600";
    filters = ""; url_tld = "`+tld+`"; enable_test_patterns = true;
    dns { nameserver = ["127.0.0.1:1"]; timeout = 0.2s; retransmits = 1; }
}
logging { type = "console"; level = "info"; }
actions { reject = 15; "add header" = 6; }
worker "rspamd_proxy" {
    bind_socket = "`+sock+` mode=0666";
    milter = yes; timeout = 60s; count = 1;
    upstream "local" { default = yes; self_scan = yes; }
}
worker "rspamd_proxy" {
    bind_socket = "`+sock+`-quarantine mode=0666";
    milter = yes; timeout = 60s; count = 1; quarantine_on_reject = true;
    upstream "local" { default = yes; self_scan = yes; }
}
`)
	stop := peers.Program(t, sock, "rspamd", "-f", "-i", "-c", conf)
	peers.Await(t, "the other socket", func() bool {
		c, err := net.Dial("unix", sock+"-quarantine")
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	w := newWorld(t, "filters.scan.rspamd: "+sock+"-quarantine")
	w.mail(hello+gtube, "550 5.7.1") // there is no quarantine
	w.reload("filters.scan.rspamd: "+sock+"-quarantine", "filters.quarantine: quarantine@example.com")
	m := w.delivered(hello + gtube)
	want(t, m.Text, "\r\nX-Quarantine-Recipient: <b@example.com>\r\n")
	want(t, strings.Join(m.To(), " "), "quarantine@example.com")
	w.reload("filters.scan.rspamd: " + sock)
	want(t, w.delivered(hello).Text, "Nothing to see.")
	w.mail(hello+gtube, "554 5.7.1 Gtube pattern")
	want(t, w.delivered(hello+"Y"+gtube[1:]).Text, "X-Spam: Yes") // another test pattern
	stop()
	w.sender("451 4.7.1")
	w.reload("filters.scan.rspamd: "+sock, "filters.scan.spam-down: accept")
	want(t, w.delivered(hello).Text, "Nothing to see.")
	want(t, w.Log(), "passing=true")
	w.Stop(t)
}

// SpamAssassin gives a level, which marks, quarantines or refuses a message.
func TestSpamAssassin(t *testing.T) {
	t.Parallel()
	dir, site := peers.OpenDir(t), peers.OpenDir(t)
	write(t, site+"/init.pre", "loadplugin Mail::SpamAssassin::Plugin::Check\n")
	write(t, dir+"/test.cf", `required_score 5
body MARKED /TEST-OF-MARKED-SPAM/
score MARKED 5.5
body SPAM /TEST-OF-SPAM/
score SPAM 7.5
body GTUBE /XJS\*C4JDBQADN1/
score GTUBE 1000
`)
	addr := peers.FreeAddr(t)
	host, port, _ := strings.Cut(addr, ":")
	stop := peers.Program(t, addr, "spamd", "--local", "--nouser-config", "--max-children=1", "--min-children=1",
		"--listen="+host, "--port="+port, "--configpath="+dir, "--siteconfigpath="+site, "--helper-home-dir="+dir, "--syslog=stderr")
	settings := []string{"filters.scan.spamassassin: " + addr, "filters.scan.mark-level: 5", "filters.scan.mark-subject: [SPAM] ", "filters.scan.quarantine-level: 7",
		"filters.scan.reject-level: 9", "filters.quarantine: quarantine@example.com"}
	w := newWorld(t, settings...)
	want(t, w.delivered(hello).Text, "\r\nX-Spam-Status: No, score=0.0 ", "\r\nX-MS-Exchange-Organization-SCL: 0\r\n")
	want(t, w.delivered(hello+"TEST-OF-MARKED-SPAM\n").Text, "\r\nX-MS-Exchange-Organization-SCL: 5\r\n", "\r\nX-Spam-Flag: YES\r\n", "\r\nSubject: [SPAM] hello\r\n")
	m := w.delivered(hello + "TEST-OF-SPAM\n")
	want(t, m.Text, "\r\nX-MS-Exchange-Organization-SCL: 7\r\n", "\r\nX-Quarantine-Recipient: <b@example.com>\r\n")
	want(t, strings.Join(m.To(), " "), "quarantine@example.com")
	w.mail(hello+gtube, "550 5.7.1")
	stop()
	w.mail(hello, "451 4.7.1")
	w.reload(append(settings, "filters.scan.spam-down: accept")...)
	want(t, w.delivered(hello).Text, "Nothing to see.")
	w.Stop(t)
}

// clamd refuses infected mail, and what it cannot scan.
func TestClamd(t *testing.T) {
	t.Parallel()
	sock, stop := peers.Clamd(t)
	eicar := hello + `X5O!P%@AP[4\PZX54(P^)7CC)7}$` + "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*\n" // in two parts, so that no scanner finds it here
	large := hello + strings.Repeat(strings.Repeat("x", 70)+"\n", 1000)
	clamd := "filters.scan.clamd: " + sock
	w := newWorld(t, clamd, "filters.scan.virus-max-size: 64K")
	want(t, w.delivered(hello).Text, "Nothing to see.")
	w.mail(hello+peers.Virus+"\n", "550 5.7.1")
	w.mail(eicar, "550 5.7.1")
	w.mail(large, "552 5.3.4")
	w.reload(clamd, "filters.scan.virus-max-size: 64K", "filters.scan.virus-oversize: accept")
	w.delivered(large)
	virus := hello + peers.Virus + "\n"
	want(t, w.outgoing("c@example.com", "a@example.net", virus).Text, peers.Virus)
	w.reload(clamd, "filters.scan.virus-outgoing: true")
	w.own(virus, "550 5.7.1")
	stop()
	w.mail(hello, "451 4.7.1")
	w.reload(clamd, "filters.scan.virus-down: accept")
	want(t, w.delivered(hello).Text, "Nothing to see.")
	w.Stop(t)
}

// A scanner or milter that does not answer has failed after its time-out, which is
// shorter here than that of the client.
func TestTimeoutsOfScanners(t *testing.T) {
	t.Parallel()
	silent := peers.Serve(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	w := newWorld(t, "filters.scan.clamd: "+silent, "filters.scan.virus-timeout: 1s")
	w.mail(hello, "451 4.7.1")
	w.reload("filters.scan.spamassassin: "+silent, "filters.scan.spam-timeout: 1s")
	w.mail(hello, "451 4.7.1")
	w.reload("filters.scan.rspamd: "+silent, "filters.scan.spam-timeout: 1s")
	w.sender("451 4.7.1")
	w.reload("filters.milters: " + silent + "; timeout=1s; down=accept")
	want(t, w.delivered(hello).Text, "Nothing to see.")
	w.Stop(t)
}

// A milter changes messages. One that fails defers mail, or is skipped.
func TestMilters(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sock := filepath.Join(dir, "milter")
	conf := write(t, dir+"/conf", "Socket local:"+sock+"\nMode v\nAuthservID mx.example.com\nAlwaysAddARHeader yes\n")
	stop := peers.Program(t, sock, "opendkim", "-f", "-x", conf)
	nothing := peers.FreeAddr(t)
	w := newWorld(t, "filters.milters: "+sock+" | "+nothing+"; down=accept")
	want(t, w.delivered(hello).Text, "\r\nAuthentication-Results: mx.example.com; dkim=none")
	want(t, w.Log(), "milter="+nothing+" ", "passing=true")

	// It ends in the middle of a message.
	conn, err := net.Dial("tcp", w.Addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	smtptest.TalkOn(t, conn, "S: 220\nC: HELO client.example.net\nS: 250\nC: MAIL FROM:<a@example.net>\nS: 250\nC: RCPT TO:<b@example.com>\nS: 250\nC: DATA\nS: 354\n"+lines(hello))
	stop()
	smtptest.TalkOn(t, conn, "C: .\nS: 451 4.7.1\nC: QUIT\nS: 221")
	w.sender("451 4.7.1")
	w.Stop(t)
	if n := w.server.Inbox.Len(); n > 0 {
		t.Errorf("%d messages were delivered without the milter", n)
	}
}
