//go:build unix

package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// Two nodes have one configuration file. After a reload, both use its new domain, and
// the new certificate. A wrong certificate, and a setting that needs a restart, change
// nothing, and the log names them.
func TestSharedFile(t *testing.T) {
	t.Parallel()
	inbox := smtptest.NewInbox()
	sink := smtptest.NewServer(t, &smtpserver.Server{Handler: inbox})
	first, second := smtptest.Certificate(t, "mx.example.com"), smtptest.Certificate(t, "mx.example.com")
	cert := peers.File(t, string(peers.PEM(t, &first)))
	f := sharedFile{t: t, name: filepath.Join(t.TempDir(), "cluster.yaml"), settings: []string{
		"listen: 127.0.0.1:0", "hostname: mx.example.com", "cert: " + cert, "key: " + cert,
		"database: " + pgtest.Database(t), "domain: [example.com=" + sink.Addr + "]",
	}}
	f.write()
	for _, name := range []string{"a", "b"} {
		state := filepath.Join(t.TempDir(), name)
		f.nodes = append(f.nodes, &node{name: name, Process: peers.StartSelf(t, asMain, 1, "-config", f.name, "-node", name, "-state", state)})
	}
	unknown := "550 5.7.1"
	for _, n := range f.nodes {
		n.offers(t, "b@example.org", unknown, &first)
	}

	f.settings[5] = "domain: [example.com=" + sink.Addr + ", example.org=" + sink.Addr + "]"
	replace(t, cert, "nothing")
	f.reload("not reloaded", "cert: "+cert+": has no certificate in PEM")
	for _, n := range f.nodes {
		n.offers(t, "b@example.org", unknown, &first)
	}
	replace(t, cert, "\ufeff"+string(peers.PEM(t, &second)))
	f.reload("msg=reloaded", "")
	for _, n := range f.nodes {
		n.offers(t, "b@example.org", "250", &second)
		send(t, n, "from "+n.name)
		if m := inbox.Next(t); !strings.Contains(m.Text, "Subject: from "+n.name+"\r\n") {
			t.Errorf("delivered:\n%s", m.Text)
		}
	}
	f.settings = append(f.settings, "dead-after: 20s")
	f.reload("not reloaded", f.name+":7: dead-after: cannot change without a restart")
	for _, n := range f.nodes {
		n.offers(t, "b@example.org", "250", &second)
		n.Stop(t)
	}
}

// A sharedFile is the configuration file of nodes.
type sharedFile struct {
	t        *testing.T
	name     string
	settings []string // its lines
	nodes    []*node
}

func (f *sharedFile) write() { replace(f.t, f.name, strings.Join(f.settings, "\n")+"\n") }

// reload writes the file, and makes the nodes read it. Each must log the texts.
func (f *sharedFile) reload(texts ...string) {
	f.t.Helper()
	f.write()
	for _, n := range f.nodes {
		before := len(n.Log())
		n.Signal(f.t, syscall.SIGHUP)
		for _, text := range texts {
			peers.Await(f.t, fmt.Sprintf("%q of node %s", text, n.name), func() bool { return strings.Contains(n.Log()[before:], text) })
		}
	}
}

// replace replaces a file as a whole: the nodes look at it from time to time.
func replace(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// offers sends RCPT in a session with TLS. The node must have the certificate, and give
// the reply.
func (n *node) offers(t *testing.T, to, reply string, want *tls.Certificate) {
	t.Helper()
	c, err := net.Dial("tcp", n.Addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c = smtptest.TalkOn(t, c, `
		S: 220 mx.example.com
		C: EHLO client.example.net
		S: 250
		C: STARTTLS
		S: 220
		TLS
		C: EHLO client.example.net
		S: 250
		C: MAIL FROM:<a@example.net>
		S: 250
		C: RCPT TO:<`+to+`>
		S: `+reply+`
	`)
	if got := c.(*tls.Conn).ConnectionState().PeerCertificates[0].Raw; !bytes.Equal(got, want.Certificate[0]) {
		t.Errorf("node %s has another certificate", n.name)
	}
}
