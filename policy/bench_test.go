package policy

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/policy/internal/transaction"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// BenchmarkChain calls a Gate's agents at all events of one message: rights,
// pressure, connection (with a block list of a million networks), reputation,
// rates, senders, spoofing, the relay policy, recipients, greylist, loop and
// trace. It omits the agents that use the DNS.
func BenchmarkChain(b *testing.B) {
	g := everything(b)
	g.Resolver, g.SenderDomain, g.Connection.BlockLists, g.Tarpit = nil, nil, nil, nil
	r := rand.New(rand.NewPCG(1, 2))
	set := new(networkSet)
	for range 1_000_000 {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], r.Uint32()|1<<31)
		set.insert(netip.PrefixFrom(netip.AddrFrom4(a), 24+r.IntN(9)))
	}
	g.Connection.Block = set.networks()
	var agents []smtpserver.Agent
	bench := smtpserver.Agent{EndOfData: func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		header := m.Header
		b.ReportAllocs()
		for b.Loop() {
			m.Header = header
			transaction.Set[traced](s, m, nil)
			s.SetValue(admittedKey{}, nil)
			if err := runChain(ctx, agents, s, m); err != nil {
				return err
			}
		}
		b.ReportMetric(float64(len(agents)), "agents")
		return nil
	}}
	srv := &smtpserver.Server{Agents: []smtpserver.Agent{bench}}
	served, _ := install(b, g, srv)
	for _, a := range srv.Agents {
		if a.Name != "" {
			agents = append(agents, a)
		}
	}
	served.Talk(b, "100.64.0.1", `
		S: 220
		C: EHLO client.example
		S: 250
		C: MAIL FROM:<someone@example.net>
		S: 250
		C: RCPT TO:<alice@example.com>
		S: 250
		C: DATA
		S: 354
		C: Received: from a.example (a.example [192.0.2.9]) by b.example with ESMTPS id 1; Sat, 21 Nov 2026 20:41:31 +0000
		C: Received: from c.example (c.example [192.0.2.8]) by a.example with ESMTP id 2; Sat, 21 Nov 2026 20:41:30 +0000
		C: From: Somebody <someone@example.net>
		C: To: Alice <alice@example.com>
		C: Subject: a message like many
		C: Message-ID: <1@example.net>
		C: Date: Sat, 21 Nov 2026 20:41:29 +0000
		C: MIME-Version: 1.0
		C: Content-Type: text/plain; charset=utf-8
		C:
		C: body
		C: .
		S: 250
	`)
}

// runChain calls all agents at all events of one message.
func runChain(ctx context.Context, agents []smtpserver.Agent, s *smtpserver.Session, m *smtpserver.Message) error {
	var err error
	note := func(e error) {
		if err == nil {
			err = e
		}
	}
	var mail smtp.MailOptions
	var rcpt smtp.RcptOptions
	for i := range agents {
		if f := agents[i].Mail; f != nil {
			note(f(ctx, s, m.From, &mail))
		}
	}
	for i := range agents {
		if f := agents[i].Rcpt; f != nil {
			note(f(ctx, s, m.Recipients[0].Addr, &rcpt))
		}
	}
	for i := range agents {
		if f := agents[i].EndOfHeaders; f != nil {
			note(f(ctx, s, m))
		}
	}
	for i := range agents {
		if f := agents[i].EndOfData; f != nil {
			note(f(ctx, s, m))
		}
	}
	return err
}
