package queue

import (
	"errors"
	"fmt"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/settings"
)

// Validate returns an error that names each setting that can never work or that
// contradicts another. Run calls it, and so does the first call of Submit.
//
// Negative limits are errors, except where the comment of the field gives them
// a meaning. Times below a millisecond are errors too, because the unit is
// probably missing: Lease: 30 is 30 nanoseconds.
func (q *Queue) Validate() error {
	return errors.Join(q.validate(), q.checkDeliverer())
}

// validate is Validate without Checker.Check. A noStore takes the place of a
// Store that is not set.
func (q *Queue) validate() error {
	var errs []error
	add := func(err error) { errs = append(errs, err) }
	if _, no := q.Store.(noStore); no || q.Store == nil {
		add(errNoStore)
	} else if settings.IsNil(q.Store) {
		add(fmt.Errorf("queue: Queue.Store is a nil %T", q.Store))
	}
	if q.Deliverer == nil {
		add(errors.New("queue: Queue.Deliverer is not set"))
	} else if settings.IsNil(q.Deliverer) {
		add(fmt.Errorf("queue: Queue.Deliverer is a nil %T", q.Deliverer))
	}
	if q.Hostname != "" {
		if _, err := addr.Domain(q.Hostname); err != nil {
			add(fmt.Errorf("queue: Queue.Hostname %q is not a host name", q.Hostname))
		}
	}
	if settings.IsTypedNil(q.Retry) {
		add(fmt.Errorf("queue: Queue.Retry is a nil %T", q.Retry))
	} else if r, ok := q.Retry.(Retry); ok {
		add(r.Validate())
	} else if r, ok := q.Retry.(*Retry); ok && r != nil {
		add(r.Validate())
	}
	add(q.Limits.validate())
	add(q.Reports.validate())
	return errors.Join(errs...)
}

// checkDeliverer calls Checker.Check.
func (q *Queue) checkDeliverer() error {
	c, is := q.Deliverer.(Checker)
	if !is || settings.IsNil(c) {
		return nil
	}
	if err := c.Check(); err != nil {
		return fmt.Errorf("queue: Queue.Deliverer: %w", err)
	}
	return nil
}

func (l *Limits) validate() error {
	errs := []error{
		settings.Number("Active", l.Active),
		settings.Number("Memory", l.Memory),
		settings.Number("Deliveries", l.Deliveries),
		settings.Number("Rate", l.Rate),
		settings.Time("Lease", l.Lease),
		settings.Number("Interrupted", l.Interrupted),
		settings.OptionalTime("BadMail", l.BadMail),
		settings.Number("Received", l.Received),
		settings.Number("Hop.Concurrency", l.Hop.Concurrency),
		settings.Number("Hop.Start", l.Hop.Start),
		settings.Number("Hop.Recipients", l.Hop.Recipients),
		settings.Number("Hop.Rate", l.Hop.Rate),
		settings.Number("Hop.Active", l.Hop.Active),
	}
	if h := l.Hop; h.Concurrency > 0 && h.Start > h.Concurrency {
		errs = append(errs, fmt.Errorf("%s is %d, but Hop.Concurrency is %d", "Hop.Start", h.Start, h.Concurrency))
	}
	return settings.Join("queue: Limits.", errs...)
}

func (r *Reports) validate() error {
	var errs []error
	if r.From != "" {
		if problem := notMailbox(r.From); problem != "" {
			errs = append(errs, fmt.Errorf("%s: %q %s", "From", r.From, problem))
		}
	}
	errs = append(errs, settings.Number("MaxOriginal", r.MaxOriginal))
	for i, a := range r.CopyTo { // a report that is refused is never seen
		if problem := badRecipient(a); problem != "" {
			errs = append(errs, fmt.Errorf("CopyTo[%d]: %q %s", i, a, problem))
		}
	}
	return settings.Join("queue: Reports.", errs...)
}

// Validate returns an error that names each setting that can never work: an
// interval that is zero or negative, a Jitter of more than 1, or a time without
// a unit. [Queue.Validate] calls it.
func (r Retry) Validate() error {
	errs := intervals("Intervals", r.Intervals)
	for class, of := range r.ByClass {
		errs = append(errs, intervals(fmt.Sprintf("ByClass[%v]", class), of)...)
	}
	if !(r.Jitter <= 1) {
		errs = append(errs, fmt.Errorf("%s is %v: it is a fraction of the interval, at most 1", "Jitter", r.Jitter))
	}
	errs = append(errs, settings.OptionalTime("DelayNotice", r.DelayNotice), settings.OptionalTime("Expiry", r.Expiry))
	for name, l := range map[string]*Lifetime{"Low": r.Low, "High": r.High} {
		if l != nil {
			errs = append(errs, settings.OptionalTime(name+".DelayNotice", l.DelayNotice), settings.OptionalTime(name+".Expiry", l.Expiry))
		}
	}
	return settings.Join("queue: Retry.", errs...)
}

func intervals(name string, list []time.Duration) (errs []error) {
	for i, d := range list {
		name := fmt.Sprintf("%s[%d]", name, i)
		if d <= 0 {
			errs = append(errs, fmt.Errorf("%s is %v: an interval must be positive", name, d))
			continue
		}
		errs = append(errs, settings.Time(name, d))
	}
	return errs
}
