//go:build unix

package policy_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/filter/content"
	"github.com/bridgehead-mail/bridgehead/policy/filter/firewall"
	"github.com/bridgehead-mail/bridgehead/policy/filter/rules"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/arc"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/authres"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dkim"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dmarc"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/spf"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// BenchmarkEdge measures the whole chain of an edge gateway: SPF, DKIM, DMARC,
// ARC, Authentication-Results, the header firewall, 21 rules (one reads the
// body), attachments and the content filter, with 20 sessions over loopback TCP.
// A message has a DKIM signature and one ARC set, with RSA keys of 2,048 bits.
// The resolver answers from memory, and the queue drops the message. The clients
// are another process. cpu-s/1000 is the CPU time of the server's process, all
// threads, for 1,000 messages. "none" has the Gate without these agents.
func BenchmarkEdge(b *testing.B) {
	zone := memoryDNS{
		"sender.example":        "v=spf1 ip4:127.0.0.0/8 -all",
		"_dmarc.sender.example": "v=DMARC1; p=reject",
	}
	dir := b.TempDir()
	messages := signedMessages(b, zone)
	for name, text := range messages {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	for _, message := range []string{"4KiB", "100KiB", "100KiB-attachment"} {
		for _, chain := range []string{"all", "none", "sealed"} {
			b.Run(message+"/"+chain, func(b *testing.B) {
				srv := &smtpserver.Server{Hostname: "relay.example.com", Limits: smtpserver.Limits{MessageRate: -1}}
				g := &policy.Gate{
					Domains:  []policy.Domain{{Name: "example.com", Directory: policy.Recipients("alice")}},
					Resolver: zone,
					Queue:    dropper{},
				}
				if chain != "none" {
					edgeAgents(b, g, zone)
				}
				if chain == "sealed" {
					g.Outbound = []smtpserver.Agent{(&arc.Sealer{Key: benchKey(b, zone, "relay.example.com")}).Agent()}
				}
				if err := g.Install(srv); err != nil {
					b.Fatal(err)
				}
				addr := smtptest.NewServer(b, srv).Addr
				client := exec.Command(os.Args[0], addr, strconv.Itoa(b.N), "20", filepath.Join(dir, message))
				client.Env = append(os.Environ(), edgeClientEnv+"=1")
				client.Stderr = os.Stderr
				b.ReportAllocs()
				b.ResetTimer()
				before := cpuTime(b)
				if err := client.Run(); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric((cpuTime(b)-before).Seconds()*1000/float64(b.N), "cpu-s/1000")
			})
		}
	}
}

// edgeAgents adds the chain to g.
func edgeAgents(b *testing.B, g *policy.Gate, zone memoryDNS) {
	list := &rules.Rules{}
	for i := range 20 {
		list.List = append(list.List, rules.Rule{
			Name: fmt.Sprint("rule ", i),
			If:   []rules.Condition{rules.Subject(fmt.Sprint("forbidden", i)), rules.From("*@bad.example")},
			Then: []rules.Action{rules.PrependSubject("[X] ")},
		})
	}
	list.List = append(list.List, rules.Rule{Name: "body", If: []rules.Condition{rules.Body("viagra", "casino")}, Then: []rules.Action{rules.SetSCL(6)}})
	if err := list.Validate(); err != nil {
		b.Fatal(err)
	}
	g.MailAuth = []smtpserver.Agent{
		(&spf.Checker{Resolver: zone, RejectFail: true}).Agent(),
		(&dkim.Verifier{Resolver: zone}).Agent(),
		(&dmarc.Checker{Resolver: zone, Enforce: true}).Agent(),
		(&arc.Verifier{Resolver: zone}).Agent(),
	}
	g.Inbound = []smtpserver.Agent{(&authres.Stamper{}).Agent(), new(firewall.Inbound).Agent()}
	g.Rules = []smtpserver.Agent{list.Agent()}
	g.Content = []smtpserver.Agent{
		(&content.Attachments{Names: []string{"*.exe", "*.js"}}).Agent(),
		(&content.Filter{Mark: 5}).Agent(),
	}
}

// signedMessages returns messages with a DKIM signature and an ARC set.
func signedMessages(b *testing.B, zone memoryDNS) map[string]string {
	header := "Received: from a.sender.example (a.sender.example [192.0.2.9]) by mx.sender.example with ESMTPS id 1; Sat, 28 Nov 2026 10:00:01 +0000\r\n" +
		"From: Anna <a@sender.example>\r\nTo: Alice <alice@example.com>\r\nSubject: The figures of this month\r\n" +
		"Message-ID: <1@sender.example>\r\nDate: Sat, 28 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n"
	text := func(n int) string {
		line := "A line of text as people write it, with words of some length each.\r\n"
		return strings.Repeat(line, n/len(line))
	}
	plain := header + "Content-Type: text/plain; charset=utf-8\r\n\r\n"
	pdf := append([]byte("%PDF-1.7\n"), make([]byte, 70<<10)...)
	rand.Read(pdf[9:])
	var file strings.Builder
	for coded := base64.StdEncoding.EncodeToString(pdf); coded != ""; {
		n := min(len(coded), 76)
		file.WriteString(coded[:n] + "\r\n")
		coded = coded[n:]
	}
	messages := map[string]string{
		"4KiB":   plain + text(4<<10),
		"100KiB": plain + text(100<<10),
		"100KiB-attachment": header + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + text(4<<10) +
			"--b\r\nContent-Type: application/pdf; name=figures.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n" + file.String() + "--b--\r\n",
	}
	signer := &dkim.Signer{Keys: dkim.Keys(benchKey(b, zone, "sender.example"))}
	sealer := &arc.Sealer{Key: benchKey(b, zone, "list.example"), ID: "list.example"}
	for name, text := range messages {
		signature, err := signer.Sign(b.Context(), "sender.example", strings.NewReader(text))
		if err != nil {
			b.Fatal(err)
		}
		text = signature + text
		verdict, err := (&arc.Verifier{Resolver: zone}).Verify(b.Context(), strings.NewReader(text))
		if err != nil {
			b.Fatal(err)
		}
		set, err := sealer.Seal(b.Context(), strings.NewReader(text), verdict)
		if err != nil {
			b.Fatal(err)
		}
		messages[name] = set + text
	}
	return messages
}

// benchKey returns a new key and publishes it in zone.
func benchKey(b *testing.B, zone memoryDNS, domain string) dkim.Key {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	key := dkim.Key{Domain: domain, Selector: "s1", Private: private}
	record, err := key.Record()
	if err != nil {
		b.Fatal(err)
	}
	zone[key.Name()] = record
	return key
}

// dropper is a queue that drops all messages.
type dropper struct{}

func (dropper) Submit(context.Context, *queue.Message) error { return nil }

// memoryDNS is a resolver with one TXT record for a name, and no other records.
type memoryDNS map[string]string

func (d memoryDNS) Lookup(_ context.Context, name string, t routing.RecordType) (*routing.Answer, error) {
	if record, found := d[name]; found && t == routing.TypeTXT {
		return &routing.Answer{TXT: []string{record}}, nil
	}
	return nil, &routing.LookupError{Problem: routing.NoSuchName, Name: name, Type: t}
}

// cpuTime returns the CPU time of this process.
func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
