package main

import (
	"context"
	"strings"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// originField tells the mailboxes where a message comes from.
const originField = "X-Origin"

// tag writes the origin on each message: a field of its own, at the head, so
// that signatures stay valid. Who may relay is one of ours; what strangers
// claim in such a field is removed.
var tag = smtpserver.Agent{Name: "tag", EndOfData: func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
	m.Header.Delete(func(f smtpserver.Field) bool { return strings.EqualFold(f.Name(), originField) })
	origin := "external"
	if policy.RightsOf(ctx, s)&policy.AcceptAnyRecipient != 0 {
		origin = "internal"
	}
	return m.Header.Prepend(originField + ": " + origin + "\r\n")
}}
