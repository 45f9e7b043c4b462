package policy

import (
	"context"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
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
			if addr.FoldDomain(byClause(value)) == own {
				n++
			}
		}
		if n > limit {
			return errLoop
		}
		return nil
	}}
}

// byClause is the host that wrote a Received field: the word after the first
// "by" that stands in no comment (RFC 5321, 4.4).
func byClause(value string) string {
	depth, by := 0, false
	for word := range strings.FieldsSeq(value) {
		before := depth
		depth += strings.Count(word, "(") - strings.Count(word, ")")
		switch {
		case before > 0 || strings.HasPrefix(word, "("):
		case by:
			return strings.TrimSuffix(word, ";")
		default:
			by = strings.EqualFold(word, "by")
		}
	}
	return ""
}
