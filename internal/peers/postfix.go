package peers

import (
	"cmp"
	"crypto/tls"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A Postfix is a real Postfix that runs for a test: a mail server with all
// mailboxes of its domains in one maildir.
type Postfix struct {
	// Domains are the domains of the mailboxes, separated by spaces.
	Domains string
	// Main has additional lines of main.cf. They override the usual ones.
	Main string
	// Files are additional files of the configuration directory. sasl/smtpd.conf
	// is the configuration of Cyrus SASL.
	Files map[string]string
	// Addr is the address to listen on. Default: FreeAddr.
	Addr string
	// Namespace is the network namespace to run in. Default: that of the test.
	Namespace string
	// Certificate, if set, is the certificate for STARTTLS.
	Certificate *tls.Certificate
	// Accounts, if set, maps users to passwords. Then only a client that has
	// logged in over TLS can send. See also Token. A Dovecot checks them.
	Accounts map[string]string

	dir  string
	mail maildir
}

// Start runs Postfix until the test ends. Postfix must be started by root;
// otherwise the test is skipped.
func (p *Postfix) Start(t testing.TB) *Postfix {
	t.Helper()
	StartPostfixes(t, p)
	return p
}

// StartPostfixes starts several servers in parallel. One start takes a second or
// two.
func StartPostfixes(t testing.TB, ps ...*Postfix) {
	t.Helper()
	bin := Need(t, "postfix")
	NeedRoot(t)
	starts := make([]*exec.Cmd, len(ps))
	for i, p := range ps {
		p.prepare(t)
		t.Cleanup(func() {
			p.command(bin, "abort").Run() // "stop" waits for seconds
			if t.Failed() {
				t.Logf("postfix for %s:\n%s", p.Domains, p.Log(t))
			}
		})
		starts[i] = p.command(bin, "start")
		check(t, starts[i].Start())
	}
	for i, p := range ps {
		if err := starts[i].Wait(); err != nil {
			t.Fatalf("postfix start: %v", err) // the cleanup shows its log
		}
		AwaitListening(t, "postfix", p.Addr)
	}
}

// prepare makes the folders and the configuration.
func (p *Postfix) prepare(t testing.TB) {
	t.Helper()
	p.dir = OpenDir(t)
	p.mail.path = p.dir + "/mail/box"
	p.Addr = cmp.Or(p.Addr, FreeAddr(t))
	host, _, err := net.SplitHostPort(p.Addr)
	check(t, err)
	for _, d := range []string{"etc", "spool", "data", "mail"} {
		check(t, os.Mkdir(filepath.Join(p.dir, d), 0o755))
	}
	check(t, exec.Command("chown", "postfix", p.dir+"/data").Run())
	check(t, os.Chown(p.dir+"/mail", 65534, 65534))
	main := postfixMain
	if p.Certificate != nil {
		check(t, os.WriteFile(p.dir+"/etc/cert.pem", PEM(t, p.Certificate), 0o600))
		main += "smtpd_tls_security_level = may\nsmtpd_tls_chain_files = @DIR@/etc/cert.pem\nsmtpd_tls_received_header = yes\n"
	}
	if p.Accounts != nil {
		p.startLogin(t)
		main += postfixAccounts
	}
	domain, _, _ := strings.Cut(p.Domains, " ")
	fill := strings.NewReplacer("@DIR@", p.dir, "@ADDR@", p.Addr, "@HOST@", host, "@DOMAINS@", p.Domains, "@DOMAIN@", domain)
	check(t, os.WriteFile(p.dir+"/etc/main.cf", []byte(lastEntries(fill.Replace(main+p.Main))), 0o644))
	check(t, os.WriteFile(p.dir+"/etc/master.cf", []byte(fill.Replace(postfixMaster)), 0o644))
	for name, text := range p.Files {
		check(t, os.MkdirAll(filepath.Dir(p.dir+"/etc/"+name), 0o755))
		check(t, os.WriteFile(p.dir+"/etc/"+name, []byte(text), 0o644))
	}
}

// lastEntries returns a main.cf without the entries that later ones override. Postfix
// warns about these, and postlogd can wait for ever with its own warning: the socket of
// the log, which only it reads, can be full of those of the other programs.
func lastEntries(text string) string {
	var names []string // in the order of their last entries
	entries := make(map[string]string)
	name := ""
	for line := range strings.Lines(text) {
		if strings.TrimLeft(line, " \t") == line { // otherwise the entry continues
			before, _, _ := strings.Cut(line, "=")
			name = strings.TrimSpace(before)
			names = append(slices.DeleteFunc(names, func(n string) bool { return n == name }), name)
			entries[name] = ""
		}
		entries[name] += line
	}
	var b strings.Builder
	for _, name := range names {
		b.WriteString(entries[name])
	}
	return b.String()
}

func (p *Postfix) command(bin, what string) *exec.Cmd {
	args := []string{bin, "-c", p.dir + "/etc", what}
	if p.Namespace != "" {
		args = append([]string{"ip", "netns", "exec", p.Namespace}, args...)
	}
	return exec.Command(args[0], args[1:]...)
}

// Maildir returns the directory of the received mail.
func (p *Postfix) Maildir() string { return p.mail.path }

// ConfigDir returns the directory of main.cf, for the option -C of sendmail.
func (p *Postfix) ConfigDir() string { return p.dir + "/etc" }

// Next waits for the next message in the maildir. Postfix has added the envelope,
// Return-Path and X-Original-To, at the top. Lines end in LF.
func (p *Postfix) Next(t testing.TB) (message string) {
	t.Helper()
	return p.mail.next(t, "postfix for "+p.Domains)
}

// Log returns the log so far.
func (p *Postfix) Log(t testing.TB) string {
	b, err := os.ReadFile(p.dir + "/maillog")
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

const postfixMain = `compatibility_level = 3.6
queue_directory = @DIR@/spool
data_directory = @DIR@/data
maillog_file = @DIR@/maillog
maillog_file_prefixes = @DIR@
myhostname = mail.@DOMAIN@
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = @HOST@
inet_protocols = ipv4
alias_maps =
alias_database =
smtpd_peername_lookup = no
local_header_rewrite_clients =
virtual_mailbox_limit = 0
virtual_mailbox_domains = @DOMAINS@
virtual_mailbox_base = @DIR@/mail
virtual_mailbox_maps = static:box/
virtual_minimum_uid = 1
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
`

const postfixAccounts = `smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = @DIR@/login/auth
smtpd_sasl_authenticated_header = yes
smtpd_tls_auth_only = yes
smtpd_relay_restrictions = permit_sasl_authenticated, reject
`

const postfixMaster = `@ADDR@ inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`
