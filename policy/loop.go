package policy

import (
	"context"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/header"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Loop refuses mail that this host has passed on before, again and again
// (554 5.4.6), long before the limit on all hops (smtpserver.Limits.Hops) ends
// the loop.
type Loop struct {
	// Max is how many Received fields of this server's own a message may
	// bring. Default 8 (Exchange: MaxLocalHopCount).
	Max int
}

var errLoop = &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 4, 6}, Message: "The message has been here before: it runs in circles"}

// Agent judges when the header is complete.
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
