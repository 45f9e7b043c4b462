package policy

import (
	"context"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Tarpit holds back refusals of strangers, so that trying out addresses and
// passwords does not pay: each permanent one (5xx) of a session a little
// longer than the one before. Clients with the right BypassAntiSpam do not
// wait. smtpserver.Limits has a tarpit of its own, for unknown recipients and
// failed logins only.
type Tarpit struct {
	// Free refusals cost no time. Default 0.
	Free int
	// Delay of the first one that does. Default 5 s (Exchange:
	// TarpitInterval). Each further one costs as much more.
	Delay time.Duration
	// Max is the longest delay. Default 30 s: clients wait for minutes
	// (RFC 5321, 4.5.3.2).
	Max time.Duration
}

type tarpitKey struct{}

// Agent watches refusals, and lets the session wait.
func (p *Tarpit) Agent() smtpserver.Agent {
	free, delay, most := p.Free, p.Delay, p.Max
	if delay == 0 {
		delay = 5 * time.Second
	}
	if most == 0 {
		most = 30 * time.Second
	}
	return smtpserver.Agent{Name: "tarpit", Reject: func(ctx context.Context, s *smtpserver.Session, r *smtp.SMTPError) {
		if r.Code < 500 || RightsOf(ctx, s)&BypassAntiSpam != 0 {
			return
		}
		n, _ := s.Value(tarpitKey{}).(int)
		n++
		s.SetValue(tarpitKey{}, n)
		if n > free {
			wait(ctx, min(most, delay*time.Duration(min(n-free, 1000))))
		}
	}}
}

// wait waits for d, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
