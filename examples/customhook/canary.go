package main

import (
	"context"
	"hash/fnv"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// canary is an agent that sends the mail for a part of a domain's mailboxes to
// the connector "new", and leaves all other to the routing table. The decision
// is stored with the message: it stands however long that waits.
//
// Agents see what comes by SMTP. The queue's own reports take the table's way,
// to the old system, which must still know all mailboxes. Where each mailbox
// is on one system alone, policy.Domain.SharedWith and policy.Domains.Hook find
// it for reports too.
func canary(domain string, percent int) smtpserver.Agent {
	return smtpserver.Agent{Name: "canary", Rcpt: func(_ context.Context, s *smtpserver.Session, to string, _ *smtp.RcptOptions) error {
		if chosen(to, domain, percent) {
			policy.SetRoute(s, to, queue.NextHop{Connector: "new", Destination: "new"})
		}
		return nil
	}}
}

// chosen is the same for a mailbox each time, however its address is written,
// and stays true while the percentage grows.
func chosen(address, domain string, percent int) bool {
	address = strings.ToLower(address)
	if !strings.HasSuffix(address, "@"+strings.ToLower(domain)) {
		return false
	}
	h := fnv.New32a()
	h.Write([]byte(address))
	return int(h.Sum32()%100) < percent
}
