package smtpclient

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/smtpclient/dane"
)

// A peer is a real program that accepts mail for b@example.net, offers STARTTLS,
// and writes each message to a file.
type peer struct {
	addr netip.AddrPort
	dir  string // where the files come to lie
	lmtp bool
	// brokenTLS means that no client can do a handshake with it.
	brokenTLS bool
}

// peerStarts are the programs; interop_peers_test.go starts them.
var peerStarts = []struct {
	name  string
	start func(*testing.T, *keyPair) *peer
}{
	{"go-smtp", startGoSMTP},
	{"Postfix", func(t *testing.T, k *keyPair) *peer { return startPostfix(t, k) }},
	{"Exim", startExim},
	{"OpenSMTPD", startOpenSMTPD},
	{"aiosmtpd", startAiosmtpd},
	{"Haraka", startHaraka},
	{"Dovecot LMTP", startDovecot},
}

// messages are the contents that must arrive byte for byte.
func messages() map[string]string {
	head := "From: a@example.com\r\nTo: b@example.net\r\nDate: Sat, 21 Nov 2026 21:00:00 +0000\r\nMessage-ID: <%s@example.com>\r\nSubject: x\r\nMIME-Version: 1.0\r\n"
	eight := "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
	all := map[string]string{
		"plain":     "\r\nHello.\r\n",
		"dots":      "\r\n.\r\n..\r\n.hidden\r\nnot.hidden\r\n.\r\n",
		"8-bit":     eight + "\r\nGrüße aus Köln – \xf0\x9f\x93\xa7\r\n",
		"no body":   "\r\n",
		"long line": "\r\n" + strings.Repeat("0123456789", 99) + "\r\n",
		"large":     "\r\n" + strings.Repeat("All work and no play makes Jack a dull boy.\r\n.\r\n", 1<<20/48),
	}
	for name, text := range all {
		all[name] = fmt.Sprintf("X-Interop: %s\r\n", strings.ReplaceAll(name, " ", "-")) + fmt.Sprintf(head, strings.ReplaceAll(name, " ", "-")) + text
	}
	return all
}

// TestInterop sends to the real peers, with and without TLS, from memory (with
// BDAT, if the peer offers it) and from a file (with DATA), and compares what
// arrives.
func TestInterop(t *testing.T) {
	for _, p := range peerStarts {
		t.Run(p.name, func(t *testing.T) {
			ca := newAuthority(t, "CA")
			pair := ca.files(t, "mx.example.net")
			peer := p.start(t, pair)
			sum := sha256.Sum256(pair.cert.Leaf.RawSubjectPublicKeyInfo)
			levels := []TLSLevel{TLSNone, TLSDomain, TLSDANE}
			if peer.brokenTLS {
				levels = []TLSLevel{TLSNone, TLSOpportunistic} // the mail comes all the same
			}
			for _, level := range levels {
				t.Run(level.String(), func(t *testing.T) {
					tr := &Transport{Hostname: "relay.example", LMTP: peer.lmtp, TLSConfig: ca.roots(), TLS: TLSPolicy{Level: level}}
					defer tr.Close()
					host := Host{Name: "mx.example.net", Addrs: []netip.AddrPort{peer.addr}}
					if level == TLSDANE {
						host.DANE = &dane.Answer{Records: []dane.Record{{Usage: dane.EE, Selector: 1, Matching: 1, Data: sum[:]}}}
					}
					dst := &Destination{Name: "peer", Hosts: HostList(host)}
					for name, text := range messages() {
						t.Run(name, func(t *testing.T) { through(t, tr, dst, peer, text) })
					}
				})
			}
		})
	}
}

// through sends text from memory and from a file, and checks that both arrive
// unchanged.
func through(t *testing.T, tr *Transport, dst *Destination, p *peer, text string) {
	for _, c := range []Content{content.Of([]byte(text)), content.Section(strings.NewReader(text), 0, int64(len(text)))} {
		m := mail("", "b@example.net")
		m.Content = c
		if strings.Contains(text, "8bit") {
			m.Options.Body = smtp.Body8BitMIME
		}
		r := tr.Send(t.Context(), dst, m)[0]
		if r.Outcome != Success || (r.TLS != "") != (tr.TLS.Level > TLSOpportunistic) {
			t.Fatalf("%v %v %v, TLS %q", r.Outcome, r.Reply, r.Err, r.TLS)
		}
		got := p.take(t)
		if want := strings.ReplaceAll(text, "\r\n", "\n"); got != want {
			t.Errorf("received %.300q, sent %.300q", got, want)
		}
	}
}

// take waits for a message, removes it, and returns it from the first header field
// of the test on, with LF line ends.
func (p *peer) take(t *testing.T) string {
	t.Helper()
	var got string
	eventually(t, "a message arrives", func() bool {
		filepath.WalkDir(p.dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || got != "" || strings.Contains(strings.TrimPrefix(path, p.dir), "/tmp/") {
				return nil
			}
			b, err := os.ReadFile(path)
			if i := bytes.Index(b, []byte("X-Interop: ")); err == nil && i >= 0 {
				got = strings.ReplaceAll(string(b[i:]), "\r\n", "\n")
				os.Remove(path)
			}
			return nil
		})
		return got != ""
	})
	return got
}

// eventually polls until another process has done something.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(time.Minute)
	for !done() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// TestSinkFaults uses the options of Postfix's smtp-sink that cause faults.
func TestSinkFaults(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options []string
		want    string
	}{
		{"all well", nil, "success 250 2.0.0 Ok [sink]"},
		{"no PIPELINING", []string{"-p"}, "success 250 2.0.0 Ok [sink]"},
		{"no ESMTP", []string{"-e"}, "success 250 2.0.0 Ok [sink]"},
		{"no enhanced codes", []string{"-E"}, "success 250 2.0.0 Ok [sink]"},
		{"a PIX in between", []string{"-P"}, "success 250 2.0.0 Ok [sink]"},
		{"banner 5xx", []string{"-f", "connect"}, "unreachable 500 5.3.0 Error: command failed [sink]"},
		{"banner 4xx", []string{"-r", "connect"}, "unreachable 450 4.3.0 Error: command failed [sink]"},
		{"EHLO 5xx, HELO", []string{"-f", "ehlo"}, "success 250 2.0.0 Ok [sink]"},
		{"EHLO 4xx", []string{"-r", "ehlo"}, "unreachable 450 4.3.0 Error: command failed [sink]"},
		{"MAIL 5xx", []string{"-f", "mail"}, "failure 500 5.3.0 Error: command failed [sink]"},
		{"MAIL 4xx", []string{"-r", "mail"}, "deferred 450 4.3.0 Error: command failed [sink]"},
		{"RCPT 5xx", []string{"-f", "rcpt"}, "failure 500 5.3.0 Error: command failed [sink]"},
		{"RCPT 4xx", []string{"-r", "rcpt"}, "deferred 450 4.3.0 Error: command failed [sink]"},
		{"DATA 5xx", []string{"-f", "data"}, "failure 500 5.3.0 Error: command failed [sink]"},
		{"end of data 5xx", []string{"-f", "."}, "failure 500 5.3.0 Error: command failed [sink]"},
		{"end of data 4xx", []string{"-r", "."}, "deferred 450 4.3.0 Error: command failed [sink]"},
		{"disconnects at MAIL", []string{"-q", "mail"}, "deferred 451 4.4.2 ..."},
		{"421 at MAIL", []string{"-Q", "mail"}, "deferred 421 4.0.0 Server closing connection [sink]"},
		{"disconnects at the end of data", []string{"-q", "."}, "deferred 451 4.4.2 session with sink failed: no valid reply to the end of data, ..."},
		{"421 at the end of data", []string{"-Q", "."}, "deferred 421 4.0.0 Server closing connection [sink]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr := startSink(t, tt.options...)
			tr := &Transport{Hostname: "relay.example"}
			defer tr.Close()
			dst := &Destination{Name: "sink", Hosts: HostList(Host{Name: "sink", Addrs: []netip.AddrPort{addr}})}
			expect(t, tr.Send(t.Context(), dst, mail("Subject: x\r\n\r\nx\r\n", "b@example.net")), tt.want)
		})
	}
}

// keyPair is a certificate and its key in files for other programs.
type keyPair struct {
	cert            tls.Certificate
	certPEM, keyPEM string
}
