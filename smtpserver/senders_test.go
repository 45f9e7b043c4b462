package smtpserver_test

import (
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// Real programs send to the server. Package peers finds the programs; it
// describes what happens if one is not installed.

const (
	sentHeader = "From: a@example.com\r\nTo: b@example.net\r\nSubject: sent by a real program\r\n" +
		"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
	sentBodyStart = ".a dot in front\r\n..two dots\r\n.\r\nümlaut\r\n\r\n"
)

// sentBody contains parts that have caused errors in servers: dots, 8-bit text,
// a long line, an empty line at the end. It is long enough for several reads.
var sentBody = sentBodyStart + strings.Repeat("x", 900) + "\r\n" + strings.Repeat("0123456789 all work and no play makes Jack a dull boy.\r\n", 4000) + "last\r\n\r\n"

// senderServer accepts everything, with TLS, and AUTH as alice.
func senderServer(t *testing.T, change func(*smtpserver.Server)) (srv *smtptest.Server, host, port, certFile string) {
	t.Helper()
	s := withTLS(t, smtpserver.TLSOffered)
	s.Auth, s.AllowInsecureAuth = wonderland(), true
	if change != nil {
		change(s)
	}
	certFile = filepath.Join(t.TempDir(), "cert.pem")
	leaf := s.TLSConfig.Certificates[0].Leaf
	if err := os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}), 0o644); err != nil {
		t.Fatal(err)
	}
	srv = smtptest.NewServer(t, s)
	host, port, err := net.SplitHostPort(srv.Addr)
	if err != nil {
		t.Fatal(err)
	}
	return srv, host, port, certFile
}

// messageFile writes the message to a file, with the line ends that the program
// needs.
func messageFile(t *testing.T, lineEnd string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "message.eml")
	text := strings.ReplaceAll(sentHeader+"\r\n"+sentBody, "\r\n", lineEnd)
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func command(t *testing.T, stdin string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	if stdin != "" {
		f, err := os.Open(stdin)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		cmd.Stdin = f
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

// arrived checks that the message arrived as it was sent. Programs may add
// header fields, but must not change the body.
func arrived(t *testing.T, srv *smtptest.Server, protocol string) *smtptest.Message {
	t.Helper()
	m := srv.Inbox.Next(t)
	_, got, _ := strings.Cut(m.Text, "\r\n\r\n")
	if got != sentBody {
		t.Errorf("the body has %d bytes, sent were %d, or not the same: %.300q", len(got), len(sentBody), got)
	}
	if !strings.Contains(m.Text, "Subject: sent by a real program\r\n") {
		t.Errorf("header: %.500q", m.Text)
	}
	if m.From != "a@example.com" || len(m.Recipients) == 0 || m.Recipients[0].Addr != "b@example.net" {
		t.Errorf("envelope %+v", m.Message)
	}
	if m.Protocol != protocol {
		t.Errorf("protocol %s, want %s", m.Protocol, protocol)
	}
	return m
}

func TestSenderGoSMTP(t *testing.T) {
	srv, _, _, _ := senderServer(t, nil)
	c, err := smtp.Dial(srv.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Auth(sasl.NewPlainClient("", "alice", "wonderland")); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := c.SendMail("a@example.com", []string{"b@example.net"}, strings.NewReader(sentHeader+"\r\n"+sentBody)); err != nil {
			t.Fatal(err)
		}
		arrived(t, srv, "ESMTPA")
	}
	if err := c.Quit(); err != nil {
		t.Error(err)
	}
}

func TestSenderSwaks(t *testing.T) {
	swaks := peers.Need(t, "swaks")
	srv, host, port, _ := senderServer(t, func(s *smtpserver.Server) { s.XClientFrom = loopback })
	send := func(more ...string) {
		t.Helper()
		args := append([]string{"--server", host, "--port", port, "--from", "a@example.com", "--to", "b@example.net,c@example.net",
			"--data", "@" + messageFile(t, "\n"), "--helo", "swaks.example", "--suppress-data"}, more...)
		command(t, "", swaks, args...)
	}
	send()
	swaksArrived(t, srv, "ESMTP")
	send("--pipeline")
	swaksArrived(t, srv, "ESMTP")
	for _, mech := range []string{"PLAIN", "LOGIN"} {
		send("--auth", mech, "--auth-user", "alice", "--auth-password", "wonderland")
		if m := swaksArrived(t, srv, "ESMTPA"); m.Identity != "alice" {
			t.Errorf("identity %q", m.Identity)
		}
	}
	send("--xclient-addr", "192.0.2.9", "--xclient-login", "proxied")
	if m := swaksArrived(t, srv, "ESMTPA"); m.Identity != "proxied" {
		t.Errorf("identity %q", m.Identity)
	}
}

// swaksArrived is arrived for swaks, which ends the text with one more CRLF.
func swaksArrived(t *testing.T, srv *smtptest.Server, protocol string) *smtptest.Message {
	t.Helper()
	m := srv.Inbox.Next(t)
	_, got, _ := strings.Cut(m.Text, "\r\n\r\n")
	if strings.TrimRight(got, "\r\n") != strings.TrimRight(sentBody, "\r\n") {
		t.Errorf("the body has %d bytes, sent were %d, or not the same: %.300q", len(got), len(sentBody), got)
	}
	if m.Protocol != protocol || len(m.Recipients) != 2 || m.Helo != "swaks.example" {
		t.Errorf("protocol %s, want %s; recipients %v, HELO %q", m.Protocol, protocol, m.Recipients, m.Helo)
	}
	return m
}

func TestSenderSwaksProxy(t *testing.T) {
	swaks := peers.Need(t, "swaks")
	agent, seen := addresses()
	_, host, port, _ := senderServer(t, func(s *smtpserver.Server) {
		s.ProxyFrom, s.Agents = loopback, []smtpserver.Agent{agent}
	})
	for _, version := range []string{"1", "2"} {
		command(t, "", swaks, "--server", host, "--port", port, "--from", "a@example.com", "--to", "b@example.net",
			"--proxy-version", version, "--proxy-family", map[string]string{"1": "TCP4", "2": "AF_INET"}[version],
			"--proxy-protocol", "STREAM", "--proxy-command", "PROXY",
			"--proxy-source", "192.0.2.9", "--proxy-source-port", "4711", "--proxy-dest", "198.51.100.1", "--proxy-dest-port", "25")
		if got := seen(); !strings.HasPrefix(got, "192.0.2.9:4711 > 198.51.100.1:25") {
			t.Errorf("version %s: addresses %q", version, got)
		}
	}
}

func TestSenderSMTPSource(t *testing.T) {
	source := peers.Need(t, "smtp-source")
	srv, _, _, _ := senderServer(t, nil)
	command(t, "", source, "-s", "5", "-m", "100", "-l", "20000", "-d", "-f", "a@example.com", "-t", "b@example.net", srv.Addr)
	for range 100 {
		if m := srv.Inbox.Next(t); len(m.Text) < 20000 || m.From != "a@example.com" {
			t.Fatalf("%d bytes from %q", len(m.Text), m.From)
		}
	}
}

func TestSenderPython(t *testing.T) {
	python := peers.NeedPython(t)
	srv, host, port, cert := senderServer(t, nil)
	const script = `
import smtplib, ssl, sys
host, port, file, cert = sys.argv[1:]
context = ssl.create_default_context(cafile=cert)
context.check_hostname = False
text = open(file, "rb").read()
with smtplib.SMTP(host, int(port), timeout=30) as s:
    s.sendmail("a@example.com", ["b@example.net"], text, mail_options=["BODY=8BITMIME"])
    s.starttls(context=context)
    s.login("alice", "wonderland")
    s.sendmail("a@example.com", ["b@example.net"], text, mail_options=["BODY=8BITMIME"], rcpt_options=["NOTIFY=SUCCESS"])
`
	command(t, "", python, "-c", script, host, port, messageFile(t, "\r\n"), cert)
	arrived(t, srv, "ESMTP")
	if m := arrived(t, srv, "ESMTPSA"); len(m.Recipients[0].Options.Notify) != 1 || m.Identity != "alice" {
		t.Errorf("options %+v, identity %q", m.Recipients[0].Options, m.Identity)
	}
}

func TestSenderNodemailer(t *testing.T) {
	node, path := peers.NeedNode(t, "nodemailer")
	srv, host, port, _ := senderServer(t, nil)
	const script = `
const nodemailer = require("nodemailer"), fs = require("fs");
const [host, port, file] = process.argv.slice(1);
const t = nodemailer.createTransport({host, port, requireTLS: true, tls: {rejectUnauthorized: false},
	pool: true, maxConnections: 1, auth: {user: "alice", pass: "wonderland"}});
const m = {envelope: {from: "a@example.com", to: "b@example.net", use8BitMime: true}, raw: fs.readFileSync(file)};
t.sendMail(m).then(() => t.sendMail(m)).then(() => t.close(), e => { console.error(e); process.exit(1); });
`
	t.Setenv("NODE_PATH", path)
	command(t, "", node, "-e", script, host, port, messageFile(t, "\r\n"))
	arrived(t, srv, "ESMTPSA")
	arrived(t, srv, "ESMTPSA")
}

func TestSenderMsmtp(t *testing.T) {
	msmtp := peers.Need(t, "msmtp")
	srv, host, port, cert := senderServer(t, nil)
	send := func(more ...string) {
		t.Helper()
		args := append([]string{"-C", "/dev/null", "--host=" + host, "--port=" + port, "--from=a@example.com"}, more...)
		command(t, messageFile(t, "\n"), msmtp, append(args, "b@example.net")...)
	}
	send()
	arrived(t, srv, "ESMTP")
	tls := []string{"--tls=on", "--tls-starttls=on", "--tls-trust-file=" + cert}
	send(tls...)
	arrived(t, srv, "ESMTPS")
	send(append(tls, "--auth=plain", "--user=alice", "--passwordeval=echo wonderland")...)
	arrived(t, srv, "ESMTPSA")
	// DSN, and SCRAM with an independent client.
	cred, err := smtpserver.NewScramCredentials("wonderland", 4096)
	if err != nil {
		t.Fatal(err)
	}
	srv, host, port, cert = senderServer(t, func(s *smtpserver.Server) { s.Auth = smtpserver.ScramAuth(scramOf("alice", cred)) })
	tls[2] = "--tls-trust-file=" + cert
	send(append(tls, "--auth=scram-sha-256", "--user=alice", "--passwordeval=echo wonderland", "--dsn-notify=failure,delay", "--dsn-return=headers")...)
	m := arrived(t, srv, "ESMTPSA")
	if m.Options.Return != smtp.DSNReturnHeaders || len(m.Recipients[0].Options.Notify) != 2 {
		t.Errorf("options %+v, %+v", m.Options, m.Recipients[0].Options)
	}
}

// Exim sends with BDAT if the server announces CHUNKING.
func TestSenderExim(t *testing.T) {
	exim := peers.Need(t, "exim4")
	peers.NeedRoot(t)
	for _, chunking := range []bool{true, false} {
		srv, _, port, _ := senderServer(t, func(s *smtpserver.Server) {
			if !chunking {
				s.Disable = smtpserver.ExtChunking
			}
		})
		dir := peers.OpenDir(t)
		conf := filepath.Join(dir, "exim.conf")
		if err := os.WriteFile(conf, fmt.Appendf(nil, eximConf, exim, dir, dir, port), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir, uidOf(t, "Debian-exim"), -1); err != nil {
			t.Fatal(err)
		}
		out := command(t, messageFile(t, "\n"), exim, "-C", conf, "-odf", "-oi", "-f", "a@example.com", "b@example.net")
		if srv.Inbox.Len() == 0 {
			l, _ := os.ReadFile(filepath.Join(dir, "mainlog"))
			t.Fatalf("exim did not deliver:\n%s%s", out, l)
		}
		arrived(t, srv, "ESMTPS")
		if used := srv.Counters().Replies[354] == 0; used != chunking {
			t.Errorf("BDAT was used: %v, offered: %v", used, chunking)
		}
	}
}

const eximConf = `
primary_hostname = exim.example.com
exim_path = %s
spool_directory = %s/spool
log_file_path = %s/%%slog
exim_user = Debian-exim
exim_group = Debian-exim
trusted_users = root
untrusted_set_sender = *
begin routers
out:
  driver = manualroute
  transport = out
  route_list = * 127.0.0.1
  self = send
begin transports
out:
  driver = smtp
  port = %s
  hosts_try_chunking = *
  message_linelength_limit = 1000000
begin retry
* * F,1h,1h
`

// OpenSMTPD's client.
func TestSenderOpenSMTPD(t *testing.T) {
	client := peers.Need(t, "smtp")
	peers.NeedRoot(t) // it gives up its rights, so it has to have them
	srv, host, port, _ := senderServer(t, nil)
	command(t, messageFile(t, "\n"), client, "-F", "a@example.com", "-H", "opensmtpd.example", "-s", "smtp+notls://"+host+":"+port, "b@example.net")
	arrived(t, srv, "ESMTP")
	command(t, messageFile(t, "\n"), client, "-C", "-F", "a@example.com", "-s", "smtp+tls://"+host+":"+port, "b@example.net")
	arrived(t, srv, "ESMTPS")
}

// A real Postfix, with its queue, relays to the server.
func TestSenderPostfix(t *testing.T) {
	sendmail := peers.Need(t, "sendmail")
	srv, host, port, _ := senderServer(t, nil)
	p := (&peers.Postfix{Domains: "example.com", Main: "relayhost = [" + host + "]:" + port + `
virtual_mailbox_domains =
smtp_line_length_limit = 0
smtp_tls_security_level = may
`}).Start(t)
	command(t, messageFile(t, "\n"), sendmail, "-C", p.ConfigDir(), "-i", "-f", "a@example.com", "-N", "delay,failure", "-V", "envid1", "b@example.net")
	m := arrived(t, srv, "ESMTPS")
	if m.Options.EnvelopeID != "envid1" || len(m.Recipients[0].Options.Notify) != 2 || m.Recipients[0].Options.OriginalRecipient != "b@example.net" {
		t.Errorf("options %+v, %+v", m.Options, m.Recipients[0].Options)
	}
}

// OpenSSL and Postfix check STARTTLS.
func TestSTARTTLSWithOpenSSLAndPostfix(t *testing.T) {
	srv, _, _, cert := senderServer(t, nil)
	t.Run("openssl", func(t *testing.T) {
		openssl := peers.Need(t, "openssl")
		for _, version := range []string{"-tls1_2", "-tls1_3"} {
			quit := filepath.Join(t.TempDir(), "quit")
			if err := os.WriteFile(quit, []byte("QUIT\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			out := command(t, quit, openssl, "s_client", "-starttls", "smtp", version, "-connect", srv.Addr,
				"-CAfile", cert, "-verify_return_error", "-verify_hostname", "test.example", "-crlf", "-ign_eof")
			for _, want := range []string{"Verify return code: 0 (ok)", "221 2.0.0 Bye"} {
				if !strings.Contains(out, want) {
					t.Errorf("%s: no %q in\n%s", version, want, out)
				}
			}
		}
	})
	t.Run("posttls-finger", func(t *testing.T) {
		finger := peers.Need(t, "posttls-finger")
		out := command(t, "", finger, "-c", "-C", "-l", "secure", "-F", cert, "["+strings.Replace(srv.Addr, ":", "]:", 1), "test.example")
		if !strings.Contains(out, "Verified TLS connection established") {
			t.Errorf("%s", out)
		}
	})
}
