package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// Promise 5: content is preserved byte for byte, plus the trace field. Real
// programs send a few hundred messages through the relay to real mail servers.
// To know the bytes that a program sends, the test runs it a second time and
// sends directly to a sink.
func TestEveryByteArrives(t *testing.T) {
	for _, far := range []struct {
		name  string
		start func(*testing.T) *farEnd
	}{{"smtp-sink", startSMTPSink}, {"postfix", startPostfix}} {
		for _, near := range senders {
			t.Run(near.name+"_to_"+far.name, func(t *testing.T) {
				end := far.start(t)
				relay := startRelay(t, relayConfig{smartHost: end.addr})
				dir := t.TempDir()
				near.send(t, dir, relay.addr)
				control := newSink(t)
				near.send(t, dir, control.addr)

				sent := map[string]string{}
				for _, m := range control.received() {
					sent[messageID(m.data)] = string(m.data)
				}
				count := len(control.received())
				await(t, 2*time.Minute, fmt.Sprintf("%d messages at %s", count, far.name), func() bool {
					n := 0
					for _, m := range end.mails(t) {
						if strings.HasSuffix(m, "\n") {
							n++
						}
					}
					return n >= count && relay.waiting(t) == 0
				})
				got := end.mails(t)
				if len(got) != count {
					t.Errorf("%d messages arrived, %d were sent", len(got), count)
				}
				for _, m := range got {
					compare(t, far.name, m, sent)
				}
				t.Logf("%d messages, %d distinct, every byte the same", len(got), len(sent))
			})
		}
	}
}

// ours matches the end of the relay's trace field.
var ours = regexp.MustCompile(`\n\tby relay\.example\.com with E?SMTP id \S+\n(?:\t.*\n)*`)

func compare(t *testing.T, far, got string, sent map[string]string) {
	t.Helper()
	at := ours.FindStringIndex(got)
	if at == nil {
		t.Errorf("no trace field of the relay in\n%.500s", got)
		return
	}
	got = got[at[1]:]
	if far == "smtp-sink" {
		got = strings.TrimSuffix(got, "\n") // smtp-sink adds a blank line
	}
	id := messageID([]byte(got))
	want, ok := sent[id]
	if !ok {
		t.Errorf("message %q was never sent", id)
		return
	}
	want = strings.ReplaceAll(want, "\r\n", "\n") // both store mail with LF
	if got != want {
		i := 0
		for i < len(got) && i < len(want) && got[i] == want[i] {
			i++
		}
		t.Errorf("%s: %d bytes sent, %d arrived, different from byte %d on: sent %.80q, arrived %.80q",
			id, len(want), len(got), i, want[i:], got[i:])
	}
}

var messageIDField = regexp.MustCompile(`(?mi)^Message-ID:\s*(\S+)`)

func messageID(m []byte) string {
	if f := messageIDField.FindSubmatch(m[:min(len(m), 4096)]); f != nil {
		return string(f[1])
	}
	return "none"
}

var senders = []struct {
	name string
	send func(t *testing.T, dir, addr string)
}{
	{"swaks", func(t *testing.T, dir, addr string) {
		bin := peers.Need(t, "swaks")
		for _, file := range writeCorpus(t, dir, "swaks", 28, 0) {
			perform(t, bin, "--silent", "2", "--server", addr, "--from", "alice@example.com", "--to", "bob@example.net",
				"--data", "@"+file)
		}
	}},
	{"smtplib", func(t *testing.T, dir, addr string) {
		bin := peers.Need(t, "python3")
		writeCorpus(t, dir, "smtplib", 210, 10<<20)
		host, port, _ := net.SplitHostPort(addr)
		perform(t, bin, "-c", smtplibScript, host, port, dir)
	}},
	{"smtp-source", func(t *testing.T, dir, addr string) {
		bin := peers.Need(t, "smtp-source")
		for i, file := range writeCorpus(t, dir, "source", len(kinds), 0) {
			lf := filepath.Join(dir, fmt.Sprintf("lf.%d", i))
			b, err := os.ReadFile(file)
			must(t, err)
			must(t, os.WriteFile(lf, bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")), 0o644))
			perform(t, bin, "-s", "5", "-m", "20", "-F", lf, "-f", "alice@example.com", "-t", "bob@example.net", "inet:"+addr)
		}
	}},
}

const smtplibScript = `
import smtplib, sys, glob
host, port, dir = sys.argv[1:]
with smtplib.SMTP(host, int(port)) as s:
    for name in sorted(glob.glob(dir + "/*.eml")):
        s.sendmail("alice@example.com", ["bob@example.net"], open(name, "rb").read(), ["BODY=8BITMIME"])
`

// writeCorpus writes n messages to files in dir and, if size is not 0, another one
// of about size bytes.
func writeCorpus(t *testing.T, dir, prefix string, n, size int) (files []string) {
	t.Helper()
	msgs := corpus(prefix, n)
	if size > 0 {
		id, m := huge(prefix, size)
		msgs[id] = m
	}
	for id, m := range msgs {
		name := filepath.Join(dir, strings.Trim(id, "<>")+".eml")
		must(t, os.WriteFile(name, m, 0o644))
		files = append(files, name)
	}
	return files
}
