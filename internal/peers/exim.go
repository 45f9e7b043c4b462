package peers

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// An Exim is a real Exim that runs for a test: a mail server with all mailboxes
// of its domains in one maildir.
type Exim struct {
	// Domains are the domains of the mailboxes, separated by spaces.
	Domains string
	// Addr is the address to listen on. Default: FreeAddr.
	Addr string
	// Certificate, if set, is the certificate for STARTTLS.
	Certificate *tls.Certificate

	dir    string
	mail   maildir
	stop   func()       // stops the process
	output bytes.Buffer // of the process
}

// Start runs Exim until Stop or the end of the test. After Stop it may be started
// again, with another Certificate. Exim must be started by root; otherwise the
// test is skipped.
func (e *Exim) Start(t testing.TB) *Exim {
	t.Helper()
	bin := Need(t, "exim4")
	if os.Getuid() != 0 {
		t.Skip("exim must be started by root")
	}
	if e.dir == "" {
		e.dir, e.Addr = OpenDir(t), cmp.Or(e.Addr, FreeAddr(t))
		for _, d := range []string{"mail", "spool", "log"} {
			check(t, os.Mkdir(e.dir+"/"+d, 0o755))
		}
		e.mail.path = e.dir + "/mail"
		t.Cleanup(func() {
			e.Stop()
			if t.Failed() {
				t.Logf("exim for %s:\n%s%s", e.Domains, e.output.String(), e.Log(t))
			}
		})
	}
	host, port, err := net.SplitHostPort(e.Addr)
	check(t, err)
	config := eximConfig
	if e.Certificate != nil {
		check(t, os.WriteFile(e.dir+"/cert.pem", PEM(t, e.Certificate), 0o600))
		config = "tls_advertise_hosts = *\ntls_certificate = @DIR@/cert.pem\n" + config
	}
	domain, _, _ := strings.Cut(e.Domains, " ")
	fill := strings.NewReplacer("@BIN@", bin, "@DIR@", e.dir, "@HOST@", host, "@PORT@", port,
		"@DOMAINS@", strings.ReplaceAll(e.Domains, " ", " : "), "@DOMAIN@", domain)
	check(t, os.WriteFile(e.dir+"/exim.conf", []byte(fill.Replace(config)), 0o644))
	check(t, exec.Command("chown", "-R", "Debian-exim:", e.dir+"/mail", e.dir+"/spool", e.dir+"/log").Run())
	if e.Certificate != nil {
		check(t, exec.Command("chown", "Debian-exim:", e.dir+"/cert.pem").Run())
	}

	cmd := exec.Command(bin, "-C", e.dir+"/exim.conf", "-bdf")
	cmd.Stdout, cmd.Stderr = &e.output, &e.output
	check(t, cmd.Start())
	e.stop = func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	}
	AwaitListening(t, "exim", e.Addr)
	return e
}

// Stop stops Exim. Its address is then free. Received messages stay in the
// maildir.
func (e *Exim) Stop() {
	if e.stop != nil {
		e.stop()
		e.stop = nil
	}
}

// Next waits for the next message in the maildir. Exim has added Return-path and
// Envelope-to at the top. Lines end in LF.
func (e *Exim) Next(t testing.TB) (message string) {
	t.Helper()
	return e.mail.next(t, "exim for "+e.Domains)
}

// Maildir returns the folder of the received mail.
func (e *Exim) Maildir() string { return e.mail.path }

// Log returns the log so far, with mail and connections.
func (e *Exim) Log(t testing.TB) string {
	b, err := os.ReadFile(e.dir + "/log/mainlog")
	if err != nil && !os.IsNotExist(err) { // no log lines yet
		t.Error(err)
	}
	return string(b)
}

const eximConfig = `exim_path = @BIN@
exim_user = Debian-exim
exim_group = Debian-exim
spool_directory = @DIR@/spool
log_file_path = @DIR@/log/%slog
log_selector = +smtp_connection
primary_hostname = mx.@DOMAIN@
local_interfaces = <; @HOST@
daemon_smtp_ports = @PORT@
acl_smtp_rcpt = rcpt
acl_smtp_data = accept
smtp_accept_queue_per_connection = 0
never_users =
keep_environment =
host_lookup =
rfc1413_hosts =

begin acl
rcpt:
  accept domains = @DOMAINS@
  deny

begin routers
all:
  driver = accept
  transport = box

begin transports
box:
  driver = appendfile
  directory = @DIR@/mail
  create_directory
  maildir_format
  return_path_add
  envelope_to_add
  user = Debian-exim
  group = Debian-exim
`
