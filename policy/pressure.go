package policy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Pressure refuses mail while the server runs short of something: disk,
// memory, room in the queue (Exchange: back pressure). The level is the worst
// of all resources:
//
//   - medium: mail from outside is slowed down at MAIL, by 10 s and, at each
//     measurement that finds it still so, 5 s more; from 55 s on it is
//     refused;
//   - high: all mail is refused. The reply is 452 4.3.1.
//
// From outside is who may not relay (AcceptAnyRecipient). The resources are
// measured when a client says MAIL, at most once in Interval. It must not be
// copied once Agent was called.
type Pressure struct {
	Resources []Resource
	// Interval between measurements. Default 2 s.
	Interval time.Duration
	// Delay, Step and MaxDelay are the slowing down.
	// Default 10 s, 5 s and 55 s (Exchange). A negative Delay is none: outside
	// mail is refused as soon as the level is medium.
	Delay, Step, MaxDelay time.Duration
	// Logger is told when a level changes; nil is silent.
	Logger *slog.Logger

	mu       sync.Mutex // guards what follows
	measured time.Time
	levels   []PressureLevel // of the Resources
	level    PressureLevel   // the worst
	delay    time.Duration   // of outside mail
}

// A Resource is something that can run short. Its level rises at the marks
// Medium and High, and falls to medium below HighEnd, to normal below
// MediumEnd, so that it does not go up and down with every message.
type Resource struct {
	Name string
	// Use measures how much is used now, in the unit of the marks. It must
	// not wait. An error keeps the level as it is.
	Use func() (float64, error)
	// Medium and High are where the levels begin. MediumEnd and HighEnd, below
	// them, are where they end. Default: 97 percent of the mark. High must be
	// set; 0 for Medium means that there is no medium level.
	Medium, High       float64
	MediumEnd, HighEnd float64
}

// PressureLevel is how short a server runs of something.
type PressureLevel int

const (
	NormalPressure PressureLevel = iota
	MediumPressure
	HighPressure
)

// String is the level in a word.
func (l PressureLevel) String() string {
	return [...]string{"normal", "medium", "high"}[min(max(l, NormalPressure), HighPressure)]
}

// Validate tells what is wrong with the settings. It measures each resource
// once: one that cannot be measured is wrong too.
func (p *Pressure) Validate() error {
	if len(p.Resources) == 0 {
		return errors.New("policy: Pressure has no Resources")
	}
	for i := range p.Resources {
		r := &p.Resources[i]
		mediumEnd, highEnd := r.ends()
		switch {
		case r.Use == nil:
			return fmt.Errorf("policy: resource %q: Use is not set", r.Name)
		case r.High <= 0 || r.Medium > r.High:
			return fmt.Errorf("policy: resource %q: High must be set, and not below Medium", r.Name)
		case highEnd > r.High || r.Medium > 0 && (mediumEnd > r.Medium || mediumEnd > highEnd):
			return fmt.Errorf("policy: resource %q: the marks are not in the order MediumEnd, Medium, High with HighEnd between MediumEnd and High", r.Name)
		}
		if _, err := r.Use(); err != nil {
			return fmt.Errorf("policy: resource %q cannot be measured: %w", r.Name, err)
		}
	}
	return nil
}

func (r *Resource) ends() (medium, high float64) {
	const share = 0.97
	if medium = r.MediumEnd; medium == 0 {
		medium = share * r.Medium
	}
	if high = r.HighEnd; high == 0 {
		high = share * r.High
	}
	return medium, high
}

// next is the level after a measurement.
func (r *Resource) next(now PressureLevel, use float64) PressureLevel {
	mediumEnd, highEnd := r.ends()
	switch {
	case use >= r.High, now == HighPressure && use >= highEnd:
		return HighPressure
	case r.Medium > 0 && (use >= r.Medium || now >= MediumPressure && use >= mediumEnd):
		return MediumPressure
	}
	return NormalPressure
}

var errPressure = &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 3, 1}, Message: "Insufficient system resources, try again later"}

// Agent judges at MAIL. It belongs before all agents that do much.
func (p *Pressure) Agent() smtpserver.Agent {
	return smtpserver.Agent{Name: "back pressure",
		Mail: func(ctx context.Context, s *smtpserver.Session, _ string, _ *smtp.MailOptions) error {
			level, delay := p.measure(time.Now())
			if level == NormalPressure {
				return nil
			}
			inside := RightsOf(ctx, s)&AcceptAnyRecipient != 0
			if level == MediumPressure && !inside && delay > 0 {
				wait(ctx, delay)
				level, delay = p.measure(time.Now())
			}
			if level == HighPressure || level == MediumPressure && !inside && delay <= 0 {
				return errPressure
			}
			return nil
		}}
}

// Level is the present level.
func (p *Pressure) Level() PressureLevel {
	level, _ := p.measure(time.Now())
	return level
}

// measure brings the levels up to date where it is time, and returns the worst
// and the delay that goes with it: 0 says to refuse.
func (p *Pressure) measure(now time.Time) (PressureLevel, time.Duration) {
	interval := p.Interval
	setDefault(&interval, 2*time.Second)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.measured.IsZero() && now.Sub(p.measured) < interval {
		return p.level, p.delay
	}
	p.measured = now
	if p.levels == nil {
		p.levels = make([]PressureLevel, len(p.Resources))
	}
	worst := NormalPressure
	for i := range p.Resources {
		p.update(i)
		worst = max(worst, p.levels[i])
	}
	p.delay = p.nextDelay(worst)
	p.level = worst
	return p.level, p.delay
}

// update measures one resource. Called with mu held.
func (p *Pressure) update(i int) {
	r := &p.Resources[i]
	if r.Use == nil {
		return
	}
	use, err := r.Use()
	if err != nil {
		if p.Logger != nil {
			p.Logger.Error("policy: resource cannot be measured", "resource", r.Name, "error", err)
		}
		return
	}
	level := r.next(p.levels[i], use)
	if level != p.levels[i] && p.Logger != nil {
		p.Logger.Warn("policy: pressure", "resource", r.Name, "use", use, "from", p.levels[i].String(), "to", level.String())
	}
	p.levels[i] = level
}

// nextDelay is what outside mail waits for at a level. Called with mu held.
func (p *Pressure) nextDelay(level PressureLevel) time.Duration {
	delay, step, most := p.Delay, p.Step, p.MaxDelay
	setDefault(&delay, 10*time.Second)
	setDefault(&step, 5*time.Second)
	setDefault(&most, 55*time.Second)
	switch {
	case level != MediumPressure || delay < 0:
		return 0
	case p.level != MediumPressure:
		return delay
	case p.delay == 0 || p.delay >= most:
		return 0 // slowing down did not help
	}
	return min(p.delay+step, most)
}
