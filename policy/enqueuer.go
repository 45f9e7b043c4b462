package policy

import (
	"context"
	"fmt"
	"net"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Submitter adds messages to a queue; *queue.Queue is one. After Submit has
// returned nil, the file of m.Content is closed. Submit must copy the content
// before it returns.
type Submitter interface {
	Submit(ctx context.Context, m *queue.Message) error
}

// An Enqueuer is an smtpserver.Handler that submits accepted messages to a
// queue. The client gets 250 only after the queue has the message on stable
// storage. A message without a Received field of this server gets one; see
// [Trace].
//
// If the relay policy has not admitted one of the recipients (see [Admit]), the
// whole message is refused: 550 5.7.1.
type Enqueuer struct {
	Queue Submitter

	gate *Gate // that was installed; may be nil
}

// GateOf returns the Gate that Gate.Install has installed in a server, or nil.
// The Gate is in use: do not change it.
func GateOf(srv *smtpserver.Server) *Gate {
	if e, is := srv.Handler.(*Enqueuer); is && e != nil {
		return e.gate
	}
	return nil
}

// A copyKey is equal for two recipients that get one copy of a message.
type copyKey struct {
	to    addr.Key
	route queue.NextHop
}

var errNoRecipients = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "The message has no recipients left"}

// Receive implements smtpserver.Handler.
func (h *Enqueuer) Receive(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) (string, error) {
	if len(m.Recipients) == 0 { // agents have removed all of them
		return "", errNoRecipients
	}
	// One allocation for all recipients: there is one for most messages.
	rcpts := make([]queue.Recipient, 0, len(m.Recipients))
	ptrs := make([]*queue.Recipient, 0, len(m.Recipients))
	var seen map[copyKey]bool
	if len(m.Recipients) > 1 {
		seen = make(map[copyKey]bool, len(m.Recipients))
	}
	for i, r := range m.Recipients {
		a := admissionOf(s, m, i)
		if a == nil {
			return "", fmt.Errorf("%w: no relay policy has admitted <%s>", errRelay, r.Addr)
		}
		if len(m.Recipients) > 1 {
			key := copyKey{addr.KeyOf(a.as), a.route}
			if seen[key] {
				continue // given twice, or the same mailbox after CatchAll: one copy
			}
			seen[key] = true
		}
		o := r.Options
		if a.as != a.to && o.OriginalRecipient == "" && strings.Contains(a.to, "@") { // reports must name the recipient that the sender gave (RFC 3461, 4.2)
			o.OriginalRecipientType, o.OriginalRecipient = originalType(a.to), a.to
		}
		rcpts = append(rcpts, queue.Recipient{Addr: a.as, Options: o, Route: a.route})
		ptrs = append(ptrs, &rcpts[len(rcpts)-1])
	}
	if err := trace(s, m, "", h.gate != nil && h.gate.trace().hides(s)); err != nil {
		return "", err
	}
	qm := &queue.Message{
		ID:         m.ID,
		From:       m.From,
		Options:    m.Options,
		Recipients: ptrs,
		Content:    m.Content(),
		Received:   m.Received,
		Origin:     originOf(s, known(ctx, s)),
	}
	if err := h.Queue.Submit(ctx, qm); err != nil {
		return "", err
	}
	m.Close() // the store has the content, see queue.Store
	return "", nil
}

// originOf returns the origin of mail from a client. internal is Origin.Internal.
func originOf(s *smtpserver.Session, internal bool) queue.Origin {
	o := queue.Origin{Connector: s.Connector(), ClientHelo: s.Helo(), Identity: s.Identity(), Protocol: s.Protocol(), Internal: internal}
	if ip, ok := clientIP(s); ok {
		o.ClientAddr = ip.String()
	}
	if local, ok := s.LocalAddr().(*net.TCPAddr); ok {
		o.ServerAddr = local.AddrPort().Addr().Unmap().String()
	}
	return o
}

// originalType returns the address type for ORCPT (RFC 3461, 4.2; RFC 6533,
// 3).
func originalType(address string) smtp.DSNAddressType {
	for i := range len(address) {
		if address[i] >= utf8.RuneSelf {
			return smtp.DSNAddressTypeUTF8
		}
	}
	return smtp.DSNAddressTypeRFC822
}
