package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// An Alarm calls Notify when no mail gets through: when the oldest message that waits
// for delivery is older than After. Messages that are set aside (suspended, poison
// or bad mail) do not count. Put it in Gateway.Parts, so that it gets the hostname and the logger and is
// in the health of the relay, and its Run in Gateway.Tasks:
//
//	a := &gateway.Alarm{Queue: q, Notify: gateway.NotifyCommand("/usr/local/bin/page", "mail")}
//	g.Parts = append(g.Parts, a)
//	g.Tasks = append(g.Tasks, a.Run)
//
// The fields must not change after Run was called.
type Alarm struct {
	// Queue is the queue that is watched. It must be set.
	Queue *queue.Queue
	// Notify tells an administrator. It must be set. It is called by one goroutine,
	// and is canceled after one minute. NotifyCommand and NotifyURL return the usual
	// ones.
	Notify func(context.Context, AlarmReport) error
	// After is the age at which a waiting message raises the alarm. Default 30
	// minutes: more than a few attempts and most greylisting.
	After time.Duration
	// Every is the shortest time between two calls of Notify, also of calls that
	// fail. While the alarm lasts, Notify is called again after each Every. Default 1
	// hour.
	Every time.Duration
	// Hostname is the name of the relay in the report. Default: that of the Gateway.
	Hostname string
	// Logger gets a line when the alarm begins and ends, and when Notify fails.
	// Default: that of the Gateway.
	Logger *slog.Logger

	mu      sync.Mutex // guards the fields below, Hostname and Logger
	raised  string     // the text of the alarm; empty: none
	calling error      // the error of the last call of Notify
}

// An AlarmReport says what is wrong.
type AlarmReport struct {
	// Hostname is the name of the relay.
	Hostname string `json:"hostname"`
	// Messages is how many messages wait for delivery. Oldest is the time of receipt
	// of the oldest of them, and Age its age.
	Messages int           `json:"messages"`
	Oldest   time.Time     `json:"oldest"`
	Age      time.Duration `json:"-"`
	// NextHop is the next hop, as "example.net via internet", of the queue with the oldest message that has failed
	// attempts, and Error its last reply or error. They are empty if there is none. Error
	// is text of another host, without control characters and of at most 300 bytes.
	NextHop string `json:"nextHop,omitempty"`
	Error   string `json:"error,omitempty"`
}

// String returns the report as one line of text.
func (r AlarmReport) String() string {
	s := fmt.Sprintf("%s: no mail gets through: the oldest of %d waiting messages is %v old", r.Hostname, r.Messages, r.Age.Round(time.Second))
	if r.NextHop != "" {
		s += fmt.Sprintf("; %s: %s", r.NextHop, r.Error)
	}
	return s
}

const (
	defaultAlarmAfter = 30 * time.Minute
	defaultAlarmEvery = time.Hour
	alarmLook         = time.Minute // between two looks at the queue
	notifyTime        = time.Minute // for one call of Notify
)

// Validate returns an error that names the first setting that is wrong.
func (a *Alarm) Validate() error {
	switch {
	case a.Queue == nil:
		return errors.New("gateway: Alarm.Queue is not set")
	case a.Notify == nil:
		return errors.New("gateway: Alarm.Notify is not set")
	case a.After < 0 || a.After > 0 && a.After < time.Second:
		return fmt.Errorf("gateway: Alarm.After: %v is less than one second", a.After)
	case a.Every < 0 || a.Every > 0 && a.Every < time.Second:
		return fmt.Errorf("gateway: Alarm.Every: %v is less than one second", a.Every)
	}
	return nil
}

// Inherit sets Hostname and Logger if they are not set.
func (a *Alarm) Inherit(d Defaults) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.Hostname = cmp.Or(a.Hostname, d.Hostname)
	if a.Logger == nil {
		a.Logger = d.Logger
	}
}

// Run looks at the queue every minute, or more often if After is shorter, until ctx
// ends. It returns an error only if a setting is wrong.
func (a *Alarm) Run(ctx context.Context) error {
	if err := a.Validate(); err != nil {
		return err
	}
	after := cmp.Or(a.After, defaultAlarmAfter)
	every := cmp.Or(a.Every, defaultAlarmEvery)
	tick := time.NewTicker(min(alarmLook, after))
	defer tick.Stop()
	var called time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		report, err := a.look(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			a.log(slog.LevelError, "the age of the waiting messages is not known", "error", err)
			continue
		case report.Age <= after:
			a.clear()
			continue
		}
		a.raise(report)
		if called.IsZero() || time.Since(called) >= every {
			called = time.Now()
			a.notify(ctx, report)
		}
	}
}

// look asks the queue.
func (a *Alarm) look(ctx context.Context) (AlarmReport, error) {
	ctx, cancel := context.WithTimeout(ctx, notifyTime)
	defer cancel()
	t, err := a.Queue.Totals(ctx)
	if err != nil || t.Oldest.IsZero() {
		return AlarmReport{}, err
	}
	a.mu.Lock()
	r := AlarmReport{Hostname: a.Hostname, Oldest: t.Oldest, Age: t.Time.Sub(t.Oldest)}
	a.mu.Unlock()
	for _, s := range []queue.MessageStatus{queue.MessageReady, queue.MessageActive, queue.MessageRetry} {
		r.Messages += t.Messages[s]
	}
	hops, err := a.Queue.Queues(ctx)
	if err != nil {
		return r, nil // the age is what counts
	}
	var oldest time.Time
	for _, h := range hops {
		if h.LastErrorAt.IsZero() || h.Oldest.IsZero() || h.Suspension != nil || (!oldest.IsZero() && !h.Oldest.Before(oldest)) {
			continue
		}
		oldest, r.NextHop, r.Error = h.Oldest, h.Hop.String(), plainText(errorText(h.LastError))
	}
	return r, nil
}

// errorText returns the reply of a result, or its error if no host has replied.
func errorText(r queue.Result) string {
	if r.Host == "" && r.Err != nil {
		return r.Err.Error()
	}
	return fmt.Sprintf("%d %s", r.Reply.Code, r.Reply.Message)
}

// maxAlarmError is the longest text of another host in a report.
const maxAlarmError = 300

// plainText makes one short line of text that another host has chosen.
func plainText(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), maxAlarmError)], "?")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}

func (a *Alarm) raise(r AlarmReport) {
	a.mu.Lock()
	begins := a.raised == ""
	a.raised = fmt.Sprintf("no mail gets through: the oldest of %d waiting messages was received at %s", r.Messages, r.Oldest.UTC().Format(time.RFC3339))
	a.mu.Unlock()
	if begins {
		a.log(slog.LevelWarn, "no mail gets through", "waiting", r.Messages, "oldest", r.Age.Round(time.Second).String(), "nexthop", r.NextHop, "reply", r.Error)
	}
}

func (a *Alarm) clear() {
	a.mu.Lock()
	ends := a.raised != ""
	a.raised = ""
	a.mu.Unlock()
	if ends {
		a.log(slog.LevelInfo, "the waiting messages are young again, the alarm has ended")
	}
}

func (a *Alarm) notify(ctx context.Context, r AlarmReport) {
	ctx, cancel := context.WithTimeout(ctx, notifyTime)
	defer cancel()
	err := a.Notify(ctx, r)
	a.mu.Lock()
	a.calling = err
	a.mu.Unlock()
	if err != nil {
		a.log(slog.LevelError, "the alarm could not be sent", "error", err)
	}
}

// Health reports the alarm. The relay accepts mail, so it is healthy.
func (a *Alarm) Health() HealthCheck {
	a.mu.Lock()
	defer a.mu.Unlock()
	detail := a.raised
	if a.calling != nil && detail != "" {
		detail += "; the alarm could not be sent"
	}
	return HealthCheck{Name: "alarm", OK: true, Detail: detail}
}

func (a *Alarm) log(level slog.Level, text string, args ...any) {
	a.mu.Lock()
	log := a.Logger
	a.mu.Unlock()
	if log != nil {
		log.Log(context.Background(), level, text, args...)
	}
}
