package routing

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	_ "time/tzdata" // the tests need a zone that changes its clock, wherever they run

	"github.com/bridgehead-mail/bridgehead/queue"
)

func schedule(t testing.TB, text string, zone *time.Location) *Schedule {
	t.Helper()
	s, err := ParseSchedule(text, zone)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSchedules(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	const office = `
		Mon-Fri 08:00-12:00,13:00-18:00
		Sat 22:00-06:00
		2026-12-25 closed
		2026-12-26 10:00-11:00`
	for _, c := range []struct {
		text, at, opens string // opens: when it opens next; empty: it is open
	}{
		{office, "2026-11-23 08:00", ""}, // a Monday
		{office, "2026-11-23 07:59", "2026-11-23 08:00"},
		{office, "2026-11-23 11:59", ""},
		{office, "2026-11-23 12:00", "2026-11-23 13:00"},
		{office, "2026-11-23 18:00", "2026-11-24 08:00"},
		{office, "2026-11-28 21:00", "2026-11-28 22:00"}, // Saturday night
		{office, "2026-11-29 05:59", ""},
		{office, "2026-11-29 06:00", "2026-11-30 08:00"},
		{office, "2026-12-24 18:00", "2026-12-26 10:00"},
		{office, "2026-12-26 23:00", "2026-12-28 08:00"}, // that Saturday has its own windows
		{"always", "2026-11-23 03:00", ""},
		{"always; 2026-12-25 closed", "2026-12-25 12:00", "2026-12-26 00:00"},
		{"00:00-24:00", "2026-11-23 23:59", ""},
		{"20:00-20:00", "2026-11-23 03:00", ""},
		{"08:00-09:00; Sun always; 2026-11-23 always", "2026-11-23 03:00", ""},
		{"08:00-09:00; Sun always", "2026-11-21 10:00", "2026-11-22 00:00"},
		{"Fri-Mon 10:00-11:00", "2026-11-24 00:00", "2026-11-27 10:00"},
		{"2027-03-01 10:00-11:00", "2026-11-24 00:00", "2027-03-01 10:00"},
		{"2027-03-01 10:00-11:00;2026-12-01 10:00-11:00", "2026-11-24 00:00", "2026-12-01 10:00"},
		{"2027-03-01 10:00-11:00;2027-02-28 10:00-11:00", "2026-11-24 00:00", "2027-02-28 10:00"},
		// The clock goes from 02:00 to 03:00, and later from 03:00 back to 02:00.
		{"01:00-02:30", "2026-03-29 03:15", ""},
		{"01:00-02:30", "2026-03-29 03:30", "2026-03-30 01:00"},
		{"02:00-04:00", "2026-10-25 03:30", ""},
	} {
		s := schedule(t, c.text, berlin)
		at, err := time.ParseInLocation("2006-01-02 15:04", c.at, berlin)
		if err != nil {
			t.Fatal(err)
		}
		at = at.UTC() // the schedule's zone counts, not the time's
		if open := s.Open(at); open != (c.opens == "") {
			t.Errorf("%q at %s: open %v", c.text, c.at, open)
		}
		if got := s.NextOpen(at).In(berlin).Format("2006-01-02 15:04"); c.opens != "" && got != c.opens {
			t.Errorf("%q at %s: opens %s, want %s", c.text, c.at, got, c.opens)
		}
	}
	past := schedule(t, "2020-01-01 10:00-11:00", berlin)
	if at := past.NextOpen(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)); !at.IsZero() {
		t.Errorf("a schedule that is over opens %v", at)
	}
}

// Windows in the hour that the clock skips in spring. time.Date uses the offset
// before the change in Berlin, and the one after it in New York.
func TestSchedulesWhenTheClockChanges(t *testing.T) {
	for _, c := range []struct {
		zone, text, day string
		want            string // the first and last minute that is open, and how many
	}{
		{"Europe/Berlin", "02:15-03:00", "2026-03-29", "03:00 03:44 45"},
		{"Europe/Berlin", "02:30-03:10", "2026-03-29", "03:00 03:09 10"},
		{"Europe/Berlin", "02:00-02:45", "2026-03-29", "03:00 03:44 45"},
		{"Europe/Berlin", "02:45-04:00", "2026-03-29", "03:00 03:59 60"},
		{"Europe/Berlin", "02:00-03:00", "2026-03-29", "03:00 03:59 60"},
		{"Europe/Berlin", "01:30-02:30", "2026-03-29", "01:30 03:29 60"},
		{"Europe/Berlin", "01:30-03:00", "2026-03-29", "01:30 01:59 30"},
		{"Europe/Berlin", "03:00-03:30", "2026-03-29", "03:00 03:29 30"},
		{"Europe/Berlin", "01:00-02:00", "2026-03-29", "01:00 01:59 60"},
		{"Europe/Berlin", "always", "2026-03-29", "00:00 23:59 1380"},
		{"America/New_York", "02:15-03:00", "2026-03-08", "03:00 03:44 45"},
		{"America/New_York", "02:30-03:10", "2026-03-08", "03:00 03:09 10"},
		{"America/New_York", "01:30-02:30", "2026-03-08", "01:30 03:29 60"},
		{"America/New_York", "02:45-04:00", "2026-03-08", "03:00 03:59 60"},
		{"Africa/Cairo", "00:15-02:00", "2024-04-26", "01:00 01:59 60"},
		{"Africa/Cairo", "00:00-00:30", "2024-04-26", "01:00 01:29 30"},
		{"Africa/Cairo", "always", "2024-04-26", "01:00 23:59 1380"},
		{"Australia/Lord_Howe", "02:10-02:20", "2026-10-04", "02:30 02:39 10"}, // half an hour
		{"Europe/Berlin", "02:15-03:00", "2026-03-28", "02:15 02:59 45"},
		{"Europe/Berlin", "02:15-02:45", "2026-10-25", "02:15 02:44 30"},
	} {
		zone, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		s := schedule(t, c.text, zone)
		midnight, err := time.ParseInLocation(time.DateOnly, c.day, zone)
		if err != nil {
			t.Fatal(err)
		}
		var first, last time.Time
		n := 0
		for at := midnight; at.Format(time.DateOnly) == c.day; at = at.Add(time.Minute) {
			if opens := s.NextOpen(at); s.Open(at) != opens.Equal(at) || !opens.IsZero() && !s.Open(opens) {
				t.Fatalf("%s %q: at %v it opens at %v, where it is closed", c.zone, c.text, at, opens)
			}
			if s.Open(at) {
				if n++; n == 1 {
					first = at
				}
				last = at
			}
		}
		if got := fmt.Sprintf("%s %s %d", first.Format("15:04"), last.Format("15:04"), n); got != c.want {
			t.Errorf("%s %q on %s: %s, want %s", c.zone, c.text, c.day, got, c.want)
		}
	}
}

func TestFaultySchedules(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "empty",
		" ; \n":                  "empty",
		"Mon":                    "is not a time window",
		"Mon-Fri":                "is not a time window",
		"Mon 08:00-12:00 18:00":  "must have the form \"DAYS TIMES\"",
		"Mon 8-12":               "is not a time window",
		"Mon 08:00":              "is not a time window",
		"Mon 08:00-25:00":        "is not a time window",
		"Mon 08:60-09:00":        "is not a time window",
		"Mon 24:00-24:00":        "is not a time window",
		"Mon -08:00-09:00":       "is not a time window",
		"Moon 08:00-09:00":       "is not a day",
		"Mon-Foo 08:00-09:00":    "is not a day",
		"2026-02-30 08:00-09:00": "is not a day",
		"Mon closed":             "only a date can be closed",
		"2026-12-25 closed; 2026-12-25 08:00-09:00":                 "closed in one entry and has hours in another",
		"2026-12-25 08:00-09:00; always; 2026-12-25 closed":         "closed in one entry and has hours in another",
		"2026-12-25 always\n2026-12-26 closed\n2026-12-25 closed\n": "closed in one entry and has hours in another",
		strings.Repeat("always;", 1001):                             "more than 1000 entries",
	} {
		_, err := ParseSchedule(text, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		}
	}
}

func TestNoScheduleIsAlwaysOpen(t *testing.T) {
	var s *Schedule
	now := time.Now()
	if !s.Open(now) || !s.NextOpen(now).Equal(now) || s.String() != "always" {
		t.Error("a nil Schedule is not always open")
	}
}

// The queue holds mail while the connector's schedule is closed. For large
// messages, OversizeSchedule decides.
func TestPaceFollowsTheSchedules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the bubble's clock begins at midnight UTC
		r := &Router{Table: table(t, Connector{Name: "c", Spaces: []string{"*"}, MaxConcurrency: 3,
			Retry: []time.Duration{time.Minute}, Expire: time.Hour,
			Schedule:         schedule(t, "08:00-18:00", time.UTC),
			OversizeSchedule: schedule(t, "20:00-22:00", time.UTC), OversizeSize: 100})}
		small := &queue.Message{Content: queue.String("x")}
		large := &queue.Message{Content: queue.String(strings.Repeat("x", 101))}
		hop, _ := r.Route(t.Context(), small, queue.Rcpt("a@example.net")[0])
		largeHop, _ := r.Route(t.Context(), large, queue.Rcpt("a@example.net")[0])
		midnight := time.Now()

		p := r.Pace(hop)
		if !p.Held || !p.Until.Equal(midnight.Add(8*time.Hour)) || p.MaxConcurrency != 3 || len(p.Retry) != 1 || p.Expiry != time.Hour {
			t.Errorf("at midnight: %+v", p)
		}
		if p := r.Pace(largeHop); !p.Held || !p.Until.Equal(midnight.Add(20*time.Hour)) {
			t.Errorf("large, at midnight: %+v", p)
		}
		time.Sleep(9 * time.Hour)
		if r.Pace(hop).Held || !r.Pace(largeHop).Held {
			t.Error("at nine: the ordinary mail is held, or the large is not")
		}
		time.Sleep(11 * time.Hour)
		if !r.Pace(hop).Held || r.Pace(largeHop).Held {
			t.Error("at eight in the evening: the ordinary mail is not held, or the large is")
		}
		if p := r.Pace(queue.NextHop{Connector: "unknown"}); p.Held {
			t.Errorf("a hop of no connector: %+v", p)
		}
	})
}

// Mail waits if the schedule of its connector is closed. A connector with a
// closed schedule is not used as an alternative.
func TestClosedConnectorIsNoAlternative(t *testing.T) {
	down := &postman{name: "down", outcome: always(queue.Unreachable)}
	closed, open := &postman{name: "closed"}, &postman{name: "open"}
	never := schedule(t, "2020-01-01 closed", time.UTC)
	r := &Router{Table: table(t,
		Connector{Name: "down", Spaces: []string{"*"}, Transport: down},
		Connector{Name: "closed", Spaces: []string{"*;2"}, Transport: closed, Schedule: never},
		Connector{Name: "open", Spaces: []string{"*;3"}, Transport: open})}
	if got := outcomes(send(t, r, "a@example.net")); got != "1:open" {
		t.Errorf("%s", got)
	}
	if got := outcomes(send(t, r, "a@example.net")); got != "1:open" {
		t.Errorf("known to be down: %s", got)
	}
}

func FuzzSchedule(f *testing.F) {
	for _, s := range []string{"Mon-Fri 08:00-12:00,13:00-18:00; 2026-12-25 closed", "always", "Sat,Sun 22:00-06:00", "2026-12-24 08:00-12:00"} {
		f.Add(s, int64(1790000000))
	}
	f.Fuzz(func(t *testing.T, text string, unix int64) {
		s, err := ParseSchedule(text, time.UTC)
		if err != nil {
			return
		}
		at := time.Unix(unix%(1<<33), 0)
		opens := s.NextOpen(at)
		switch {
		case opens.IsZero():
		case opens.Before(at):
			t.Errorf("%q opens %v, before %v", text, opens, at)
		case !s.Open(opens):
			t.Errorf("%q opens at %v but is not open then", text, opens)
		}
	})
}
