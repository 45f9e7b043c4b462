package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// print prints a line. Its text is made inert.
func (s *session) print(format string, args ...any) {
	fmt.Fprintln(s.out, inert(fmt.Sprintf(format, args...)))
}

// note prints a line for a person that is not part of the result.
func (s *session) note(format string, args ...any) {
	fmt.Fprintln(s.err, inert(fmt.Sprintf(format, args...)))
}

// printJSON prints a document on one line.
func (s *session) printJSON(doc document) error {
	_, err := fmt.Fprintln(s.out, strings.TrimSpace(inertJSON(doc)))
	return err
}

// printValue prints a value of our own as JSON on one line.
func (s *session) printValue(v any) error {
	doc, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.printJSON(doc)
}

// size returns a number of bytes with a unit.
func size(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10) + " B"
	}
	f := float64(n)
	for _, unit := range []string{"kB", "MB", "GB"} {
		if f /= 1000; f < 999.95 {
			return strconv.FormatFloat(f, 'f', 1, 64) + " " + unit
		}
	}
	return strconv.FormatFloat(f/1000, 'f', 1, 64) + " TB"
}

// age returns how long ago a time was, in at most two units, or "".
func age(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return duration(time.Since(t))
}

// until returns how long it is until a time, or "".
func until(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return "in " + duration(time.Until(t))
}

// duration returns a duration in at most two units.
func duration(d time.Duration) string {
	d = max(d.Round(time.Second), 0)
	days, hours, minutes, seconds := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case days > 0:
		return fmt.Sprintf("%dd%dh", days, hours)
	case hours > 0:
		return fmt.Sprintf("%dh%dm", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%dm%ds", minutes, seconds)
	}
	return fmt.Sprintf("%ds", seconds)
}

// stamp returns a time in UTC, or "".
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// angle returns an address in angle brackets: the null reverse-path is "<>".
func angle(address string) string { return "<" + address + ">" }

// first returns the first text and how many more there are.
func first(all []string, total int) string {
	if len(all) == 0 {
		return ""
	}
	if n := max(total, len(all)) - 1; n > 0 {
		return fmt.Sprintf("%s and %d more", all[0], n)
	}
	return all[0]
}

// plural returns a number with a noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
