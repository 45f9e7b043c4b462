package routing

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Schedule defines when something runs: time windows in the week, in a time
// zone, and dates with their own windows. It is immutable. A nil *Schedule is
// always open.
type Schedule struct {
	zone *time.Location
	week [7][]window
	// days have their own windows, which replace those of the week. A day
	// without windows is closed.
	days map[date][]window
	text string
}

// A window is a part of a day, in minutes of the wall clock since midnight.
// The end can be on the next day.
type window struct{ from, to int }

type date struct {
	year  int
	month time.Month
	day   int
}

// ParseSchedule parses a schedule. The entries are separated by line ends or
// semicolons; there are at most 1000. Examples:
//
//	Mon-Fri 08:00-12:00,13:00-18:00
//	Sat,Sun 22:00-06:00        until the next day
//	18:00-19:00                every day
//	2026-12-25 closed          replaces the entries of the week
//	2026-12-24 08:00-12:00
//
// Days are Mon Tue Wed Thu Fri Sat Sun. "always" means the whole day. "closed"
// is allowed only for a date, and this date cannot have other entries with
// hours.
//
// Times are wall clock times in zone; nil means time.Local. When daylight
// saving time begins, the clock skips an hour. A window that begins in the
// skipped hour opens at the end of that hour. It closes at its usual end; if
// its end is also skipped, it keeps its usual length. A window that begins
// earlier and ends in the skipped hour keeps its usual length.
func ParseSchedule(text string, zone *time.Location) (*Schedule, error) {
	if zone == nil {
		zone = time.Local
	}
	s := &Schedule{zone: zone, days: map[date][]window{}, text: strings.TrimSpace(text)}
	entries := 0
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ';' || r == '\n' }) {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		if entries++; entries > 1000 {
			return nil, fmt.Errorf("schedule: more than 1000 entries")
		}
		if err := s.add(strings.Fields(part)); err != nil {
			return nil, fmt.Errorf("schedule: %q: %w", part, err)
		}
	}
	if entries == 0 {
		return nil, fmt.Errorf("schedule: empty")
	}
	return s, nil
}

// add adds one entry: days and times, or only times.
func (s *Schedule) add(words []string) error {
	if len(words) > 2 {
		return fmt.Errorf("must have the form \"DAYS TIMES\"")
	}
	windows, err := parseWindows(words[len(words)-1])
	if err != nil {
		return err
	}
	days := []time.Weekday{0, 1, 2, 3, 4, 5, 6}
	if len(words) == 2 {
		if day, err := time.Parse(time.DateOnly, words[0]); err == nil {
			return s.addDate(dateOf(day), windows)
		}
		if days, err = parseDays(words[0]); err != nil {
			return err
		}
	}
	if windows == nil {
		return fmt.Errorf("only a date can be closed")
	}
	for _, d := range days {
		s.week[d] = append(s.week[d], windows...)
	}
	return nil
}

// addDate adds the windows of a date, or none if it is closed.
func (s *Schedule) addDate(d date, windows []window) error {
	if others, there := s.days[d]; there && (len(others) == 0) != (len(windows) == 0) {
		return fmt.Errorf("the date is closed in one entry and has hours in another")
	}
	s.days[d] = append(s.days[d], windows...)
	return nil
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// parseDays parses "Mon-Fri,Sun".
func parseDays(text string) ([]time.Weekday, error) {
	var days []time.Weekday
	for part := range strings.SplitSeq(strings.ToLower(text), ",") {
		from, to, isRange := strings.Cut(part, "-")
		a := slices.Index(weekdays, from)
		b := a
		if isRange {
			b = slices.Index(weekdays, to)
		}
		if a < 0 || b < 0 {
			return nil, fmt.Errorf("%q is not a day (Mon, Tue, ..., Mon-Fri or 2006-01-02)", part)
		}
		for d := a; ; d = (d + 1) % 7 {
			if !slices.Contains(days, time.Weekday(d)) {
				days = append(days, time.Weekday(d))
			}
			if d == b {
				break
			}
		}
	}
	return days, nil
}

// parseWindows parses "08:00-12:00,13:00-18:00", "always" or "closed" (none).
func parseWindows(text string) (windows []window, err error) {
	switch strings.ToLower(text) {
	case "closed":
		return nil, nil
	case "always":
		return []window{{0, 24 * 60}}, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		w, err := parseWindow(part)
		if err != nil {
			return nil, err
		}
		windows = append(windows, w)
	}
	return windows, nil
}

// parseWindow parses "08:00-18:00". An end that is not after the start is on
// the next day.
func parseWindow(text string) (window, error) {
	from, to, ok := strings.Cut(text, "-")
	a, errA := parseMinutes(from)
	b, errB := parseMinutes(to)
	if !ok || errA != nil || errB != nil || a == 24*60 {
		return window{}, fmt.Errorf("%q is not a time window such as 15:04-16:04", text)
	}
	if b <= a {
		b += 24 * 60
	}
	return window{a, b}, nil
}

func parseMinutes(text string) (int, error) {
	h, m, ok := strings.Cut(text, ":")
	hour, errH := strconv.ParseUint(h, 10, 8)
	minute, errM := strconv.ParseUint(m, 10, 8)
	if !ok || errH != nil || errM != nil || len(m) != 2 || minute > 59 || hour > 24 || hour == 24 && minute > 0 {
		return 0, fmt.Errorf("%q is not a time of day", text)
	}
	return int(hour*60 + minute), nil
}

// String returns the text that the schedule was parsed from.
func (s *Schedule) String() string {
	if s == nil {
		return "always"
	}
	return s.text
}

// Open reports whether t is in a window. A nil Schedule is always open.
func (s *Schedule) Open(t time.Time) bool {
	return s == nil || s.NextOpen(t).Equal(t)
}

// NextOpen returns t if t is in a window. Otherwise it returns the start of the
// next window after t. It returns the zero time if the schedule never opens
// again.
func (s *Schedule) NextOpen(t time.Time) time.Time {
	if s == nil {
		return t
	}
	var first time.Time
	today := dateOf(t.In(s.zone))
	for ahead := -1; ahead <= 8; ahead++ { // yesterday's windows can end today
		first = earlier(first, s.opensOn(today.plus(ahead), t))
	}
	if !first.IsZero() {
		return first
	}
	for _, d := range slices.SortedFunc(maps.Keys(s.days), date.compare) {
		if at := s.opensOn(d, t); !at.IsZero() {
			return at
		}
	}
	return time.Time{}
}

// NextClose returns t if t is not in a window. Otherwise it returns the end of the
// windows that contain t or follow each other without a gap. It returns the zero
// time if the schedule does not close within a year.
func (s *Schedule) NextClose(t time.Time) time.Time {
	if s == nil {
		return time.Time{}
	}
	limit := t.AddDate(1, 0, 0)
	for at := t; !at.After(limit); {
		end := s.endsAt(at)
		if end.IsZero() {
			return at
		}
		at = end
	}
	return time.Time{}
}

// endsAt returns the latest end of a window that contains t, or the zero time.
func (s *Schedule) endsAt(t time.Time) (end time.Time) {
	today := dateOf(t.In(s.zone))
	for ahead := -1; ahead <= 1; ahead++ { // as in NextOpen; one day more for the time zone
		d := today.plus(ahead)
		for _, w := range s.windowsOn(d) {
			if from, to := w.on(d, s.zone); !t.Before(from) && to.After(t) && to.After(end) {
				end = to
			}
		}
	}
	return end
}

// windowsOn returns the windows that begin on day d.
func (s *Schedule) windowsOn(d date) []window {
	if windows, special := s.days[d]; special {
		return windows
	}
	return s.week[time.Date(d.year, d.month, d.day, 0, 0, 0, 0, time.UTC).Weekday()]
}

// opensOn returns the first time from t on in a window that begins on day d.
func (s *Schedule) opensOn(d date, t time.Time) (first time.Time) {
	for _, w := range s.windowsOn(d) {
		from, to := w.on(d, s.zone)
		switch {
		case !t.Before(to):
		case t.Before(from):
			first = earlier(first, from)
		default:
			return t
		}
	}
	return first
}

// on returns when the window that begins on day d is open.
func (w window) on(d date, zone *time.Location) (from, to time.Time) {
	from, gapEnd := d.at(w.from, zone)
	to, skipped := d.at(w.to, zone)
	if !gapEnd.IsZero() {
		from = gapEnd
		if !skipped.IsZero() || !to.After(from) {
			to = from.Add(time.Duration(w.to-w.from) * time.Minute)
		}
	}
	return from, to
}

// at returns the time when the wall clock shows so many minutes after the
// midnight of day d. If the clock skips that time, gapEnd is the end of the
// gap, and t is what the clock would show without the change.
func (d date) at(minutes int, zone *time.Location) (t, gapEnd time.Time) {
	want := time.Date(d.year, d.month, d.day, 0, minutes, 0, 0, time.UTC)
	t = time.Date(d.year, d.month, d.day, 0, minutes, 0, 0, zone)
	_, offset := t.Zone()
	switch shown := t.Add(time.Duration(offset) * time.Second); {
	case shown.Equal(want):
		return t, time.Time{}
	case shown.After(want):
		gapEnd, _ = t.ZoneBounds()
	default: // time.Date may use either of the two offsets
		_, gapEnd = t.ZoneBounds()
	}
	_, before := gapEnd.Add(-1).Zone()
	return want.Add(-time.Duration(before) * time.Second).In(zone), gapEnd
}

// earlier returns the earlier of two times. Zero times are ignored.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func dateOf(t time.Time) date {
	y, m, d := t.Date()
	return date{y, m, d}
}

func (d date) plus(days int) date {
	return dateOf(time.Date(d.year, d.month, d.day+days, 0, 0, 0, 0, time.UTC))
}

func (d date) compare(e date) int {
	return cmp.Or(d.year-e.year, int(d.month-e.month), d.day-e.day)
}
