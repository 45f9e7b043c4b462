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

// Pressure refuses mail if the server has too little of a resource: disk space,
// memory, or space in the queue (Exchange: back pressure). The level is the
// highest level of all resources:
//
//   - medium: MAIL from outside is delayed, first by 10 s, and by 5 s more
//     after each measurement that finds the same level. When the delay would
//     exceed 55 s, mail from outside is refused.
//   - high: all mail is refused. The reply is 452 4.3.1.
//
// Mail from outside is mail of sessions without the right AcceptAnyRecipient.
// The resources are measured at MAIL, at most once per Interval. A Pressure
// must not be copied after Agent was called. It is safe for concurrent use.
type Pressure struct {
	// Resources are the resources to measure. At least one is required.
	Resources []Resource
	// Interval is the minimum time between measurements. Default 2 s.
	Interval time.Duration
	// Delay is the first delay, Step its increase, MaxDelay its maximum.
	// Default 10 s, 5 s and 55 s (Exchange). If Delay is negative, mail from
	// outside is refused at level medium without a delay.
	Delay, Step, MaxDelay time.Duration
	// Logger gets a line when a level changes. Default: that of the
	// gateway.Gateway. If there is none, nothing is logged.
	Logger *slog.Logger

	mu       sync.Mutex // guards the fields below
	measured time.Time
	levels   []PressureLevel // of the Resources
	level    PressureLevel   // the worst
	delay    time.Duration   // of outside mail
}

// A Resource is a limited resource of the server, such as disk space. Its level
// rises when its use reaches Medium or High. It falls to medium when the use is
// below HighEnd, and to normal when it is below MediumEnd. So the level does
// not change with every message.
type Resource struct {
	// Name is used in errors and log lines.
	Name string
	// Use returns the current use, in the unit of the thresholds. It must not
	// block. After an error the level does not change.
	Use func() (float64, error)
	// Medium and High are the thresholds at which the levels begin. MediumEnd
	// and HighEnd are the thresholds at which they end. The default of
	// MediumEnd and HighEnd is 97 percent of Medium and High. High must be
	// set. If Medium is 0, there is no medium level.
	Medium, High       float64
	MediumEnd, HighEnd float64
}

// PressureLevel is the level of use of the resources: normal, medium or high.
type PressureLevel int

const (
	NormalPressure PressureLevel = iota
	MediumPressure
	HighPressure
)

// String returns "normal", "medium" or "high".
func (l PressureLevel) String() string {
	return [...]string{"normal", "medium", "high"}[min(max(l, NormalPressure), HighPressure)]
}

// Validate returns an error if a setting is wrong, or if a resource cannot be
// measured. It measures each resource once.
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
			return fmt.Errorf("policy: resource %q: High must be set, and must not be below Medium", r.Name)
		case highEnd > r.High || r.Medium > 0 && (mediumEnd > r.Medium || mediumEnd > highEnd):
			return fmt.Errorf("policy: resource %q: the thresholds must be in the order MediumEnd, Medium, High, and HighEnd must be between MediumEnd and High", r.Name)
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

// next returns the level after a measurement.
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

// Agent returns the agent, which decides at MAIL. Put it before all agents
// that do expensive work.
func (p *Pressure) Agent() smtpserver.Agent {
	return smtpserver.Agent{Name: "back pressure", Inherit: p.Inherit,
		Mail: func(ctx context.Context, s *smtpserver.Session, _ string, _ *smtp.MailOptions) error {
			level, delay := p.measure(time.Now())
			if level == NormalPressure {
				return nil
			}
			inside := RightsOf(ctx, s)&AcceptAnyRecipient != 0
			if level == MediumPressure && !inside && delay > 0 {
				wait(ctx, s, delay)
				level, delay = p.measure(time.Now())
			}
			if level == HighPressure || level == MediumPressure && !inside && delay <= 0 {
				return errPressure
			}
			return nil
		}}
}

// Level returns the current level. It measures the resources if Interval has
// passed.
func (p *Pressure) Level() PressureLevel {
	level, _ := p.measure(time.Now())
	return level
}

// measure measures the resources if Interval has passed. It returns the
// highest level and its delay; a delay of 0 means that mail from outside is
// refused.
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

// update measures one resource. The caller holds mu.
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
		p.Logger.Warn("policy: pressure level changed", "resource", r.Name, "use", use, "from", p.levels[i].String(), "to", level.String())
	}
	p.levels[i] = level
}

// nextDelay returns the delay of mail from outside at a level. The caller
// holds mu.
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
		return 0 // the delays did not help
	}
	return min(p.delay+step, most)
}
