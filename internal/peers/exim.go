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

// An Exim is a real Exim that runs for a test: somebody's mail server, with
// all mailboxes of its domains in one maildir.
type Exim struct {
	// Domains that it has mailboxes in, with blanks between.
	Domains string
	// Addr is where it listens. Default a free loopback one.
	Addr string
	// Certificate, where there is one, is offered by STARTTLS.
	Certificate *tls.Certificate

	dir  string
	mail maildir
	stop func()       // of the process
	said bytes.Buffer // by it
}

// Start runs it until Stop, or the end of the test. When it was stopped it may
// be started again, with another Certificate.
func (e *Exim) Start(t testing.TB) *Exim {
	t.Helper()
	bin := Need(t, "exim4")
	if os.Getuid() != 0 {
		t.Skip("exim has to be started by root")
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
				t.Logf("exim for %s:\n%s%s", e.Domains, e.said.String(), e.Log(t))
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
	cmd.Stdout, cmd.Stderr = &e.said, &e.said
	check(t, cmd.Start())
	e.stop = func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	}
	AwaitListening(t, "exim", e.Addr)
	return e
}

// Stop ends it, so that nobody listens where it did. What it has received
// stays.
func (e *Exim) Stop() {
	if e.stop != nil {
		e.stop()
		e.stop = nil
	}
}

// Next waits for the next message in the maildir. Exim has put Return-path and
// Envelope-to at its head; lines end in LF.
func (e *Exim) Next(t testing.TB) (message string) {
	t.Helper()
	return e.mail.next(t, "exim for "+e.Domains)
}

// Maildir is the folder of the mail that it has received.
func (e *Exim) Maildir() string { return e.mail.path }

// Log is what it has logged so far, of mail and of connections.
func (e *Exim) Log(t testing.TB) string {
	b, err := os.ReadFile(e.dir + "/log/mainlog")
	if err != nil && !os.IsNotExist(err) { // it has had nothing to say
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
