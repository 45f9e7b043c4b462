package e2e

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// perimeter runs a relay that trusts no client and sends all mail to home. It
// returns its address.
func perimeter(t *testing.T, gate *policy.Gate, home string) string {
	t.Helper()
	table, err := routing.NewTable(routing.Connector{Name: "home", Spaces: []string{"*"}, SmartHosts: routing.SmartHosts(bracket(home))})
	must(t, err)
	router := &routing.Router{Table: table, Hostname: "relay.example.com"}
	q := &queue.Queue{Store: new(memory.Store), Deliverer: router, Hostname: "relay.example.com"}
	gate.Queue = q
	srv := &smtpserver.Server{Hostname: "relay.example.com"}
	must(t, gate.Install(srv))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var wg sync.WaitGroup
	wg.Go(func() { q.Run(context.Background()) })
	wg.Go(func() { srv.Serve(l) })
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		srv.Shutdown(ctx)
		q.Shutdown(ctx)
		router.Close()
		wg.Wait()
	})
	return l.Addr().String()
}

const hello = "C: DATA\nS: 354\nC: From: x@example.net\nC: Subject: hello\nC:\nC: Hello.\nC: .\nS: 250\n"

// IDNA maps some characters to ">", " " and "=". In a command to a host without
// SMTPUTF8, they would end the address. Such an address is refused. Other mail of
// the session arrives.
func TestNoCommandInADomain(t *testing.T) {
	postfix := (&peers.Postfix{Domains: "mail.example.com", Main: "smtputf8_enable = no\n"}).Start(t)
	addr := perimeter(t, &policy.Gate{Domains: []policy.Domain{{Name: "*.example.com"}}, Spoofing: &policy.Spoofing{}}, postfix.Addr)
	smtptest.Talk(t, addr, `
		S: 220
		C: EHLO stranger.example
		S: 250
		C: MAIL FROM:<ceo@mail.example.com>
		S: 550 5.7.1
		C: MAIL FROM:<ceo@mail.example.com＞　ENVID＝x.example.net> SMTPUTF8
		S: 501 5.1.7
		C: MAIL FROM:<x@example.net> SMTPUTF8
		S: 250
		C: RCPT TO:<victim@other.example＞　ORCPT＝rfc822；x.example.com>
		S: 501 5.1.3
		C: RCPT TO:<victim@other.example⩵x.example.com>
		S: 501 5.1.3
		C: RCPT TO:<victim@other.example≯x.example.com>
		S: 501 5.1.3
		C: RCPT TO:<bob@mail.example.com>
		S: 250
	`+hello+"C: QUIT\nS: 221")
	if m := postfix.Next(t); !strings.Contains(m, "Subject: hello") {
		t.Errorf("arrived: %s", m)
	}
	if log := postfix.Log(t); strings.Contains(log, "other.example") {
		t.Errorf("postfix got a command with the other domain:\n%s", log)
	}
}

// A message with an ASCII header goes to a host without SMTPUTF8, with A-labels
// in the envelope: our own trace field is ASCII too.
func TestInternationalDomainToAnOldHost(t *testing.T) {
	home := newSink(t)
	addr := perimeter(t, &policy.Gate{Domains: []policy.Domain{{Name: "bücher.example"}}}, home.addr)
	smtptest.Talk(t, addr, `
		S: 220
		C: EHLO client.example
		S: 250
		C: MAIL FROM:<x@straße.example> SMTPUTF8
		S: 250
		C: RCPT TO:<alice@BÜCHER.example>
		S: 250
	`+hello+"C: QUIT\nS: 221")
	m := awaitMail(t, home)
	if m.from != "x@xn--strae-oqa.example" || !slices.Equal(m.to, []string{"alice@xn--bcher-kva.example"}) {
		t.Errorf("from %q to %q", m.from, m.to)
	}
	if !strings.Contains(string(m.data), "for <alice@xn--bcher-kva.example>;") {
		t.Errorf("content %s", m.data)
	}
}

// Names that IDNA refuses are host names like others, from RCPT to the next
// hop.
func TestHostNamesThatIDNARefuses(t *testing.T) {
	for _, name := range []string{"pr--7.example", "r3---sn-x.example", "xn--a.example", "xn--99zzzz.example", "a_b.example", "-a-.example"} {
		t.Run(name, func(t *testing.T) {
			home := newSink(t)
			addr := perimeter(t, &policy.Gate{Domains: []policy.Domain{{Name: strings.ToUpper(name), Directory: policy.Recipients("alice@" + name)}}}, home.addr)
			smtptest.Talk(t, addr, "S: 220\nC: EHLO client.example\nS: 250\nC: MAIL FROM:<x@"+name+">\nS: 250\nC: RCPT TO:<Alice@"+name+">\nS: 250\n"+hello+"C: QUIT\nS: 221")
			if m := awaitMail(t, home); m.from != "x@"+name || !slices.Equal(m.to, []string{"Alice@" + name}) {
				t.Errorf("from %q to %q", m.from, m.to)
			}
		})
	}
}

func awaitMail(t *testing.T, k *sink) mail {
	t.Helper()
	await(t, 10*time.Second, "the message", func() bool { return len(k.received()) > 0 })
	return k.received()[0]
}
