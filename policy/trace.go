package policy

import (
	"context"
	"crypto/tls"
	"net/netip"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/policy/internal/transaction"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Trace adds the Received field of RFC 5321, 4.4 to each message:
//
//	Received: from client.example ([192.0.2.1])
//		(version=TLS1.3 cipher=TLS_AES_128_GCM_SHA256)
//		by relay.example.com with ESMTPSA id 01JD3X
//		for <alice@example.com>; Sat, 21 Nov 2026 20:41:31 +0000
//
// The field has a "for" clause only if the message has one recipient. With
// several recipients, the clause would show the address of one recipient to the
// others. The clause has the domain in A-labels. It is omitted if the local
// part is not ASCII, so that a message with an ASCII header can go to hosts
// without SMTPUTF8.
type Trace struct {
	// ReverseDNS looks up the client's host name. The field has the name before
	// the address if the name also resolves to that address:
	//
	//	Received: from client.example (mail.client.example [192.0.2.1])
	ReverseDNS bool
	// Resolver looks up names in the DNS. Default: that of the Gate or of the
	// gateway.Gateway. If there is none, a zero NetResolver.
	Resolver Resolver
	// HideAuthenticated leaves the name and the address of a client that has
	// authenticated out of the field, because they show where a user is (RFC 5321,
	// 7.6). Logs and the message tracking have them:
	//
	//	Received: from unknown
	HideAuthenticated bool
}

// Agent returns the agent, which adds the field at the end of data. Put it
// after every agent that adds header fields. [Enqueuer] adds the field to
// messages that skip this agent because another agent returned ErrAccept.
func (t *Trace) Agent() smtpserver.Agent {
	return smtpserver.Agent{Name: "trace", Inherit: t.Inherit, EndOfData: func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		name, hide := "", t.hides(s)
		if ip, ok := clientIP(s); ok && t.ReverseDNS && !hide {
			// Without an answer there is no name to write.
			if names, _ := hostNames(ctx, s, t.Resolver, ip); len(names) > 0 && addr.SafeHelo(names[0]) == names[0] {
				name = names[0]
			}
		}
		return trace(s, m, name, hide)
	}}
}

// hides reports whether the field does not show the client.
func (t *Trace) hides(s *smtpserver.Session) bool { return t.HideAuthenticated && s.Identity() != "" }

// traced means that a message has the field.
type traced struct{}

// trace adds the field once. name is the client's host name, or empty. hide leaves
// out everything about the client.
func trace(s *smtpserver.Session, m *smtpserver.Message, name string, hide bool) error {
	if transaction.Get[traced](s, m) != nil {
		return nil
	}
	transaction.Set(s, m, new(traced))
	return m.Header.Prepend(received(s, m, name, hide))
}

func received(s *smtpserver.Session, m *smtpserver.Message, name string, hide bool) string {
	b := make([]byte, 0, 512)
	b = append(b, "Received: from "...)
	ip, isIP := clientIP(s)
	isIP = isIP && !hide
	switch helo := s.Helo(); {
	case helo != "" && !hide:
		b = append(b, helo...)
	case isIP:
		b = appendLiteral(b, ip)
	default:
		b = append(b, "unknown"...)
	}
	if isIP {
		b = append(b, " ("...)
		if name != "" {
			b = append(append(b, name...), ' ')
		}
		b = appendLiteral(b, ip)
		b = append(b, ')')
	}
	if c := s.TLS(); c != nil {
		b = append(b, "\r\n\t(version="...)
		b = append(b, strings.ReplaceAll(tls.VersionName(c.Version), " ", "")...)
		b = append(b, " cipher="...)
		b = append(b, tls.CipherSuiteName(c.CipherSuite)...)
		b = append(b, ')')
	}
	b = append(b, "\r\n\tby "...)
	b = append(b, s.Hostname()...)
	b = append(b, " with "...)
	b = append(b, s.Protocol()...)
	b = append(b, " id "...)
	b = append(b, m.ID...)
	if len(m.Recipients) == 1 {
		if to, ok := addr.ToASCII(m.Recipients[0].Addr); ok {
			b = append(b, "\r\n\tfor <"...)
			b = append(b, to...)
			b = append(b, '>')
		}
	}
	b = append(b, "; "...)
	at := m.Received
	if at.IsZero() {
		at = time.Now()
	}
	b = at.AppendFormat(b, time.RFC1123Z)
	b = append(b, "\r\n"...)
	return string(b)
}

// appendLiteral appends an address literal: [192.0.2.1], [IPv6:2001:db8::1].
func appendLiteral(b []byte, ip netip.Addr) []byte {
	b = append(b, '[')
	if ip.Is6() {
		b = append(b, "IPv6:"...)
	}
	b = ip.WithZone("").AppendTo(b)
	return append(b, ']')
}
