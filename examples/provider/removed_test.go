package main

import (
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// The mail of a customer that is removed from the file waits. If the customer comes
// back, it gets the mail. If not, the mail expires after -keep, and its sender gets a
// report with the reason.
func TestRemovedCustomer(t *testing.T) {
	internet := (&peers.Postfix{Domains: "example.net boat.example"}).Start(t)
	_, port, _ := net.SplitHostPort(internet.Addr)
	dns := dnstest.New(t, "boat.example. MX 10 mail.provider.example.\nmail.provider.example. A 127.0.0.1\nexample.net. MX 10 mx.example.net.\nmx.example.net. A 127.0.0.1")
	cert, key := certificate(t)
	file, addr := peers.File(t, customers), peers.FreeAddr(t)
	args := []string{"-listen", addr, "-customers", file, "-cert", cert, "-key", key, "-hostname", "mail.provider.example",
		"-spool", t.TempDir(), "-port", port, "-dns", dns.Addr}
	p := peers.StartSelf(t, "PROVIDER_MAIN", 1, args...)
	if out, err := peers.Swaks(t, "--server", addr, "--from", "carol@example.net", "--to", "ann@boat.example"); err != nil {
		t.Fatalf("swaks: %v\n%s", err, out)
	}
	reload := func(text string) {
		t.Helper()
		before := strings.Count(p.Log(), "msg=reloaded")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p.Signal(t, syscall.SIGHUP)
		peers.Await(t, "a reload", func() bool { return strings.Count(p.Log(), "msg=reloaded") > before })
	}
	const reason = "The MX records of boat.example name this relay, but no connector serves the domain"
	waits := func() {
		t.Helper()
		peers.Await(t, "an attempt without the customer", func() bool { return strings.Contains(p.Log(), reason) })
		if strings.Contains(p.Log(), "queue: failed") {
			t.Fatalf("the mail has failed:\n%s", p.Log())
		}
	}
	without, _, _ := strings.Cut(customers, "boat ")
	reload(without)
	waits()
	smtptest.Talk(t, addr, "S: 220\nC: EHLO mx.example.net\nS: 250\nC: MAIL FROM:<carol@example.net>\nS: 250\n"+
		"C: RCPT TO:<ann@boat.example>\nS: 550 5.7.1\nC: QUIT\nS: 221")
	reload(customers)
	smtptest.Talk(t, addr, login("boat", "ahoy-0815")+"C: ETRN boat.example\nS: 253 2.0.0 OK, 1 pending messages\nC: QUIT\nS: 221")
	p.Stop(t)

	// Also if the provider does not run when the customer is removed.
	if err := os.WriteFile(file, []byte(without), 0o600); err != nil {
		t.Fatal(err)
	}
	p = peers.StartSelf(t, "PROVIDER_MAIN", 1, args...)
	waits()
	p.Stop(t)
	p = peers.StartSelf(t, "PROVIDER_MAIN", 1, append(args, "-keep", "1s", "-retry-now")...)
	if m := internet.Next(t); !strings.Contains(m, "X-Original-To: carol@example.net") || !strings.Contains(strings.ReplaceAll(m, "\n ", " "), reason) {
		t.Errorf("the report:\n%s", m)
	}
	p.Stop(t)

	// If the customer has moved to another provider, the mail goes there.
	if err := os.WriteFile(file, []byte(customers), 0o600); err != nil {
		t.Fatal(err)
	}
	moved := dnstest.New(t, "boat.example. MX 10 mx.example.net.\nmx.example.net. A 127.0.0.1")
	args[len(args)-1] = moved.Addr
	p = peers.StartSelf(t, "PROVIDER_MAIN", 1, args...)
	if out, err := peers.Swaks(t, "--server", addr, "--from", "carol@example.net", "--to", "ann@boat.example"); err != nil {
		t.Fatalf("swaks: %v\n%s", err, out)
	}
	reload(without)
	if m := internet.Next(t); !strings.Contains(m, "X-Original-To: ann@boat.example") {
		t.Errorf("the new provider received\n%s", m)
	}
	p.Stop(t)
}

// Mail from outside has the lifetime of -keep, and all other mail that of -expire.
func TestLifetimes(t *testing.T) {
	l := lifetimes{queue.Retry{Expiry: time.Hour, DelayNotice: time.Minute}, 24 * time.Hour}
	for want, from := range map[time.Duration]queue.Origin{
		24 * time.Hour: {Connector: receiveConnector},
		time.Hour:      {Connector: receiveConnector, Internal: true, Identity: "boat"},
	} {
		if notice, expiry := l.Lifetime(&queue.Message{Origin: from}); notice != time.Minute || expiry != want {
			t.Errorf("%+v: %v, %v; want %v", from, notice, expiry, want)
		}
	}
	if _, expiry := l.Lifetime(&queue.Message{Origin: queue.Origin{Connector: "dsn"}}); expiry != time.Hour {
		t.Errorf("a report: %v", expiry)
	}
}
