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

// canary returns an agent that routes the mail for a part of a domain's
// mailboxes to the connector "new". The routing table decides about all other
// mail. The decision is stored with the message and does not change while the
// message waits.
//
// Agents see only mail that comes by SMTP. The queue's own reports follow the
// routing table to the old system, which must still have all mailboxes. If each
// mailbox is on only one system, use policy.Domain.SharedWith and
// policy.Domains.Hook, which also route reports.
func canary(domain string, percent int) smtpserver.Agent {
	return smtpserver.Agent{Name: "canary", Rcpt: func(_ context.Context, s *smtpserver.Session, to string, _ *smtp.RcptOptions) error {
		if chosen(to, domain, percent) {
			policy.SetRoute(s, to, queue.NextHop{Connector: "new", Destination: "new"})
		}
		return nil
	}}
}

// chosen reports whether a mailbox is on the new system. The result depends only
// on the address, without regard to case. It stays true when percent grows.
func chosen(address, domain string, percent int) bool {
	address = strings.ToLower(address)
	if !strings.HasSuffix(address, "@"+strings.ToLower(domain)) {
		return false
	}
	h := fnv.New32a()
	h.Write([]byte(address))
	return int(h.Sum32()%100) < percent
}
