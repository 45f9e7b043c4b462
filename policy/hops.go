package policy

import (
	"context"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// HopCount refuses mail that has passed too many hosts and must be in a loop
// (RFC 5321, 6.3): 554 5.4.6.
type HopCount struct {
	// Max is how many Received fields a message may bring.
	// Default 30, Exchange's MaxHopCount.
	Max int
}

var errHops = &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 4, 6}, Message: "Hop count exceeded: the message is in a loop"}

// Agent judges when the header is complete.
func (h *HopCount) Agent() smtpserver.Agent {
	limit := h.Max
	if limit == 0 {
		limit = 30
	}
	return smtpserver.Agent{Name: "hop count", EndOfHeaders: func(_ context.Context, _ *smtpserver.Session, m *smtpserver.Message) error {
		if m.Header.Count("Received") > limit {
			return errHops
		}
		return nil
	}}
}
