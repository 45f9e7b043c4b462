package policy

import (
	"context"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/header"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Loop refuses a message that has passed this host several times: 554 5.4.6.
// smtpserver.Limits.Hops limits the hops through all hosts. Loop counts only
// the hops through this host, so it detects a mail loop earlier.
type Loop struct {
	// MaxLocalHops is the maximum number of Received fields in a message that
	// have this server's host name after "by". Default 8 (Exchange:
	// MaxLocalHopCount).
	MaxLocalHops int
}

var errLoop = &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 4, 6}, Message: "Mail loop: the message has passed this host too many times"}

// Agent returns the agent, which decides at the end of the header.
func (l *Loop) Agent() smtpserver.Agent {
	limit := l.MaxLocalHops
	if limit == 0 {
		limit = 8
	}
	return smtpserver.Agent{Name: "loop", EndOfHeaders: func(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		if m.Header.Count("Received") <= limit {
			return nil
		}
		n := 0
		own := addr.FoldDomain(s.Hostname())
		for _, value := range m.Header.Values("Received") {
			if addr.FoldDomain(header.By(value)) == own {
				n++
			}
		}
		if n > limit {
			return errLoop
		}
		return nil
	}}
}
