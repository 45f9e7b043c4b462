package main

import (
	"context"
	"strings"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// originField is the header field with the origin of a message: internal or
// external.
const originField = "X-Origin"

// tag is an agent that adds the origin to each message. It adds the field at the
// top of the header, so that signatures stay valid. The origin is internal if
// the client may relay. A field of this name that the client has sent is removed.
var tag = smtpserver.Agent{Name: "tag", EndOfData: func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
	m.Header.Delete(func(f smtpserver.Field) bool { return strings.EqualFold(f.Name(), originField) })
	origin := "external"
	if policy.RightsOf(ctx, s)&policy.AcceptAnyRecipient != 0 {
		origin = "internal"
	}
	return m.Header.Prepend(originField + ": " + origin + "\r\n")
}}
