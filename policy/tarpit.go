package policy

import (
	"context"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Tarpit delays refusals for unknown clients, so that guessing addresses and
// passwords is slow. Each permanent refusal (5xx) of a session is delayed
// longer than the previous refusal. Clients with the right BypassAntiSpam are
// not delayed. smtpserver.Limits has a separate tarpit. It delays only the
// replies for unknown recipients and failed logins.
type Tarpit struct {
	// Undelayed is the number of refusals at the beginning of a session that
	// are not delayed. Default 0.
	Undelayed int
	// Delay is the delay of the first delayed refusal. Each further delay is
	// longer by Delay. Default 5 s (Exchange: TarpitInterval).
	Delay time.Duration
	// Max is the longest delay. Default 30 s. Clients must wait several minutes
	// for a reply (RFC 5321, 4.5.3.2).
	Max time.Duration
}

type tarpitKey struct{}

// Agent returns the agent, which delays refusals.
func (p *Tarpit) Agent() smtpserver.Agent {
	undelayed, delay, most := p.Undelayed, p.Delay, p.Max
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
		if n > undelayed {
			wait(ctx, s, min(most, delay*time.Duration(min(n-undelayed, 1000))))
		}
	}}
}

// wait delays a session for d, or until ctx ends. While the server is
// overloaded, it waits for a second at most: the session takes a place that
// another client needs.
func wait(ctx context.Context, s *smtpserver.Session, d time.Duration) {
	if s.Overloaded() {
		d = min(d, time.Second)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
