package policy

import (
	"context"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/header"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Loop refuses a message that has passed this host several times: 554 5.4.6.
// It stops a mail loop long before the limit on all hops does
// (smtpserver.Limits.Hops).
type Loop struct {
	// Max is how many Received fields of this server's host name a message may
	// have. Default 8 (Exchange: MaxLocalHopCount).
	Max int
}

var errLoop = &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 4, 6}, Message: "Mail loop: the message has passed this host too many times"}

// Agent returns the agent, which decides at the end of the header.
func (l *Loop) Agent() smtpserver.Agent {
	limit := l.Max
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
