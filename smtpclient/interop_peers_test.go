package smtpclient

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// files issues a certificate for name and writes it and its key to files.
func (a *authority) files(t *testing.T, name string) *keyPair {
	dir := peers.OpenDir(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	cert := a.issueTo(key, nil, name)
	k := &keyPair{cert: cert, certPEM: dir + "/cert.pem", keyPEM: dir + "/key.pem"}
	var chain []byte
	for _, der := range cert.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	write(t, k.certPEM, string(chain))
	write(t, k.keyPEM, string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})))
	return k
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// shared makes a folder that all users may write to.
func shared(t *testing.T, dir string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

func freeAddr(t testing.TB) netip.AddrPort {
	t.Helper()
	return netip.MustParseAddrPort(peers.FreeAddr(t))
}

// run starts a program, waits until it listens, and ends it with the test. If the
// test fails, run logs its output and the log files.
func run(t testing.TB, cmd *exec.Cmd, addr netip.AddrPort, logs ...string) {
	t.Helper()
	start(t, cmd, logs...)
	listens(t, addr)
}

// start is as run, for programs that do not listen on an address.
func start(t testing.TB, cmd *exec.Cmd, logs ...string) {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(5*time.Second, func() { cmd.Process.Kill() })
		cmd.Wait()
		kill.Stop()
		if !t.Failed() {
			return
		}
		t.Logf("%s:\n%s", cmd.Path, out.Bytes())
		for _, l := range logs {
			if b, err := os.ReadFile(l); err == nil {
				t.Logf("%s:\n%s", l, b)
			}
		}
	})
}

func listens(t testing.TB, addr netip.AddrPort) {
	t.Helper()
	peers.AwaitListening(t, "the peer", addr.String())
}

// startSink runs smtp-sink and returns its address.
func startSink(tb testing.TB, options ...string) netip.AddrPort {
	path, addr := peers.Need(tb, "smtp-sink"), freeAddr(tb)
	if os.Getuid() == 0 {
		options = append(options, "-u", "nobody")
	}
	run(tb, exec.Command(path, append(options, addr.String(), "1000")...), addr)
	return addr
}

// startPostfix runs a Postfix, with further lines for its main.cf.
func startPostfix(t *testing.T, k *keyPair, settings ...string) *peer {
	main := "myhostname = mx.example.net\n" + strings.Join(settings, "\n") + "\n"
	p := (&peers.Postfix{Domains: "example.net", Certificate: &k.cert, Main: main}).Start(t)
	return &peer{addr: netip.MustParseAddrPort(p.Addr), dir: p.Maildir()}
}

func startExim(t *testing.T, k *keyPair) *peer {
	e := (&peers.Exim{Domains: "example.net", Certificate: &k.cert}).Start(t)
	return &peer{addr: netip.MustParseAddrPort(e.Addr), dir: e.Maildir()}
}

func startOpenSMTPD(t *testing.T, k *keyPair) *peer {
	bin := peers.Need(t, "smtpd")
	peers.NeedRoot(t)
	dir, addr := peers.OpenDir(t), freeAddr(t)
	mail := shared(t, dir+"/mail")
	if err := os.Chmod(k.keyPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("@DIR@", dir, "@PORT@", addr.String()[len("127.0.0.1:"):], "@CERT@", k.certPEM, "@KEY@", k.keyPEM)
	write(t, dir+"/smtpd.conf", fill.Replace(opensmtpdConfig))
	write(t, dir+"/users", "b nobody\n@ nobody\n")
	// The default folders have fixed names; these are for this instance only.
	unpacked := filepath.Dir(filepath.Dir(bin))
	run(t, exec.Command("unshare", "-m", "sh", "-e", "-c", `
		for d in /var/spool /var/lib /run; do mount -t tmpfs tmpfs $d; done
		mkdir -m 711 /var/spool/smtpd
		mkdir -p /var/lib/opensmtpd/empty
		mount --bind "$1/libexec" /usr/libexec
		exec "$2" -d -f "$3"`, "sh", unpacked, bin, dir+"/smtpd.conf"), addr)
	// The one of Debian 12 (6.8, with OpenSSL 3) fails every handshake, also
	// with openssl s_client.
	return &peer{addr: addr, dir: mail, brokenTLS: true}
}

const opensmtpdConfig = `pki mx.example.net cert "@CERT@"
pki mx.example.net key "@KEY@"
table users file:@DIR@/users
listen on 127.0.0.1 port @PORT@ tls pki mx.example.net hostname mx.example.net
action "box" maildir "@DIR@/mail" virtual <users>
match from any for domain "example.net" action "box"
`

func startAiosmtpd(t *testing.T, k *keyPair) *peer {
	python := needAiosmtpd(t)
	dir, addr := peers.OpenDir(t), freeAddr(t)
	write(t, dir+"/server.py", aiosmtpdServer)
	mail := shared(t, dir+"/mail")
	run(t, exec.Command(python, dir+"/server.py", addr.String()[len("127.0.0.1:"):], mail, k.certPEM, k.keyPEM), addr)
	return &peer{addr: addr, dir: mail}
}

// needAiosmtpd finds a Python with the module aiosmtpd: the first in the path, or
// that of the distribution.
func needAiosmtpd(t *testing.T) string {
	for _, python := range []string{peers.NeedPython(t), "/usr/bin/python3"} {
		if exec.Command(python, "-c", "import aiosmtpd").Run() == nil {
			return python
		}
	}
	if os.Getenv(peers.Strict) == "1" {
		t.Fatal("peer missing: Python module aiosmtpd")
	}
	t.Skip("peer missing: Python module aiosmtpd")
	return ""
}

const aiosmtpdServer = `
import asyncio, itertools, os, ssl, sys
from aiosmtpd.smtp import SMTP

port, mail, cert, key = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)
count = itertools.count()

class Handler:
    async def handle_DATA(self, server, session, envelope):
        name = "%s/tmp/%d" % (mail, next(count))
        with open(name, "wb") as f:
            f.write(envelope.original_content)
        os.rename(name, name.replace(mail + "/tmp/", mail + "/"))
        return "250 2.0.0 kept"

async def main():
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: SMTP(Handler(), tls_context=context, hostname="mx.example.net"), "127.0.0.1", int(port))
    await asyncio.Event().wait()

os.makedirs(mail + "/tmp")
asyncio.run(main())
`

func startHaraka(t *testing.T, k *keyPair) *peer {
	node, path := peers.NeedNode(t, "Haraka")
	dir, addr := peers.OpenDir(t), freeAddr(t)
	mail := shared(t, dir+"/mail")
	shared(t, mail+"/tmp")
	for name, text := range map[string]string{
		"config/smtp.ini":        "listen=" + addr.String() + "\nnodes=0\n",
		"config/me":              "mx.example.net\n",
		"config/plugins":         "tls\nkeep\n",
		"config/loglevel":        "WARN\n",
		"config/tls.ini":         "key=" + k.keyPEM + "\ncert=" + k.certPEM + "\n",
		"config/host_list":       "example.net\n",
		"config/internalcmd_key": "x\n",
		"config/outbound.ini":    "disabled=true\n",
		"plugins/keep.js":        strings.ReplaceAll(harakaKeep, "@DIR@", mail),
		"queue/.made":            "",
	} {
		write(t, dir+"/"+name, text)
	}
	connection, err := os.ReadFile(filepath.Join(path, "Haraka", "config", "connection.ini"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/config/connection.ini", string(connection))
	cmd := exec.Command(node, filepath.Join(path, "Haraka", "bin", "haraka"), "-c", dir)
	cmd.Env = append(os.Environ(), "NODE_PATH="+path)
	run(t, cmd, addr)
	return &peer{addr: addr, dir: mail}
}

const harakaKeep = `
const fs = require('fs')
let n = 0
exports.hook_rcpt = (next) => next(OK)
exports.hook_queue = (next, connection) => {
  const name = '@DIR@/tmp/' + n++
  const out = fs.createWriteStream(name)
  out.on('close', () => { fs.renameSync(name, name.replace('@DIR@/tmp/', '@DIR@/')); next(OK) })
  connection.transaction.message_stream.pipe(out, { line_endings: '\r\n' })
}
`

func startDovecot(t *testing.T, k *keyPair) *peer {
	bin := peers.Need(t, "dovecot")
	if _, err := os.Stat("/usr/lib/dovecot/lmtp"); err != nil {
		if os.Getenv(peers.Strict) == "1" {
			t.Fatal("peer missing: dovecot-lmtpd")
		}
		t.Skip("peer missing: dovecot-lmtpd")
	}
	peers.NeedRoot(t)
	dir, addr := peers.OpenDir(t), freeAddr(t)
	mail := shared(t, dir+"/mail")
	fill := strings.NewReplacer("@DIR@", dir, "@PORT@", addr.String()[len("127.0.0.1:"):], "@CERT@", k.certPEM, "@KEY@", k.keyPEM)
	write(t, dir+"/dovecot.conf", fill.Replace(dovecotConfig))
	run(t, exec.Command(bin, "-F", "-c", dir+"/dovecot.conf"), addr, dir+"/log")
	return &peer{addr: addr, dir: mail, lmtp: true}
}

const dovecotConfig = `base_dir = @DIR@/run
state_dir = @DIR@/state
log_path = @DIR@/log
protocols = lmtp
hostname = mx.example.net
postmaster_address = postmaster@example.net
ssl = yes
ssl_cert = <@CERT@
ssl_key = <@KEY@
default_internal_user = dovecot
default_login_user = dovenull
mail_location = maildir:@DIR@/mail
first_valid_uid = 1
passdb {
  driver = static
  args = nopassword=y
}
userdb {
  driver = static
  args = uid=65534 gid=65534 home=@DIR@/mail allow_all_users=yes
}
service lmtp {
  inet_listener lmtp {
    address = 127.0.0.1
    port = @PORT@
  }
}
`
