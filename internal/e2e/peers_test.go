package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// freeAddr is a loopback address that nobody listens on at present.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// await asks cond again and again until it is true: for what another process
// does, which tells us nothing of itself.
func await(t *testing.T, limit time.Duration, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %v", what, limit)
		case <-tick.C:
		}
	}
}

func awaitListening(t *testing.T, addr string) {
	t.Helper()
	await(t, 20*time.Second, "listening on "+addr, func() bool {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
}

// A farEnd is a real program that takes mail, and the files it leaves.
type farEnd struct {
	addr string
	dir  string
}

// mails are the messages that have come, LF line ends, by what they begin
// with after our own trace field.
func (f *farEnd) mails(t *testing.T) (after []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(f.dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		after = append(after, string(b))
	}
	return after
}

// startSMTPSink runs Postfix's smtp-sink, which writes a file a message.
func startSMTPSink(t *testing.T) *farEnd {
	bin := peers.Need(t, "smtp-sink")
	dir := t.TempDir()
	for d := dir; d != "/tmp" && d != "/"; d = filepath.Dir(d) {
		os.Chmod(d, 0o755) // it gives up root and must still get here
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	f := &farEnd{addr: freeAddr(t), dir: dir}
	args := []string{"-d", "m.%M.", f.addr, "100"}
	if os.Getuid() == 0 {
		args = append([]string{"-u", "postfix", "-R", dir}, args...)
	}
	cmd := exec.Command(bin, args...)
	cmd.Dir = dir
	run(t, cmd)
	awaitListening(t, f.addr)
	return f
}

// startPostfix runs a real Postfix that takes mail for example.net into a
// maildir.
func startPostfix(t *testing.T) *farEnd {
	bin := peers.Need(t, "postfix")
	if os.Getuid() != 0 {
		t.Skip("postfix has to be started by root")
	}
	dir := t.TempDir()
	for d := dir; d != "/tmp" && d != "/"; d = filepath.Dir(d) {
		os.Chmod(d, 0o755)
	}
	addr := freeAddr(t)
	fill := strings.NewReplacer("@DIR@", dir, "@ADDR@", addr)
	for _, d := range []string{"etc", "spool", "data", "mail", "log"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	must(t, exec.Command("chown", "postfix", dir+"/data").Run())
	must(t, os.Chown(dir+"/mail", 65534, 65534))
	must(t, os.WriteFile(dir+"/etc/main.cf", []byte(fill.Replace(postfixMain)), 0o644))
	must(t, os.WriteFile(dir+"/etc/master.cf", []byte(fill.Replace(postfixMaster)), 0o644))
	if out, err := exec.Command(bin, "-c", dir+"/etc", "start").CombinedOutput(); err != nil {
		t.Fatalf("postfix start: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		exec.Command(bin, "-c", dir+"/etc", "stop").Run()
		if t.Failed() {
			b, _ := os.ReadFile(dir + "/log/maillog")
			t.Logf("postfix:\n%s", b)
		}
	})
	awaitListening(t, addr)
	return &farEnd{addr: addr, dir: dir + "/mail/box/new"}
}

const postfixMain = `compatibility_level = 3.6
queue_directory = @DIR@/spool
data_directory = @DIR@/data
maillog_file = @DIR@/log/maillog
maillog_file_prefixes = @DIR@
myhostname = postfix.example.net
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
smtpd_tls_security_level = none
smtpd_peername_lookup = no
local_header_rewrite_clients =
message_size_limit = 52428800
virtual_mailbox_limit = 0
virtual_mailbox_domains = example.net
virtual_mailbox_base = @DIR@/mail
virtual_mailbox_maps = static:box/
virtual_minimum_uid = 1
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
`

const postfixMaster = `@ADDR@ inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
`

// run starts a program that is killed when the test ends.
func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() && out.Len() > 0 {
			t.Logf("%s:\n%s", cmd.Path, out.Bytes())
		}
	})
}

// perform runs a program to its end, which must be a good one.
func perform(t *testing.T, bin string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, bin, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", bin, fmt.Sprint(args), err, out)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
