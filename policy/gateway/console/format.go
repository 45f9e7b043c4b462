package console

import (
	"fmt"
	"html/template"
	"reflect"
	"strconv"
	"time"
)

// formatNumber returns a whole number with thin spaces between groups of three
// digits (ISO 80000-1).
func formatNumber(v any) (string, error) {
	var s string
	switch r := reflect.ValueOf(v); {
	case r.CanInt():
		s = strconv.FormatInt(r.Int(), 10)
	case r.CanUint():
		s = strconv.FormatUint(r.Uint(), 10)
	default:
		return "", fmt.Errorf("%T is not a whole number", v)
	}
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s, nil
}

// formatBytes returns a size with a binary unit and three digits.
func formatBytes(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), ""
	for _, unit = range []string{"KiB", "MiB", "GiB", "TiB", "PiB"} {
		if f /= 1024; f < 1000 {
			break
		}
	}
	return strconv.FormatFloat(f, 'f', max(0, 2-digits(f)), 64) + " " + unit
}

// digits is the number of digits before the point, less 1.
func digits(f float64) int {
	switch {
	case f >= 100:
		return 2
	case f >= 10:
		return 1
	}
	return 0
}

// formatTime returns a time as an HTML element. The text is in UTC; the script of
// the console shows the time zone of the browser as the title.
func formatTime(t time.Time) template.HTML {
	if t.IsZero() {
		return "–"
	}
	t = t.UTC()
	return template.HTML(`<time datetime="` + t.Format(time.RFC3339) + `">` + t.Format("2006-01-02 15:04:05") + `</time>`)
}

// formatInput returns a time for an input field of the type datetime-local.
func formatInput(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04")
}

// formatAge returns a duration in its two largest units, for example "2 h 5 min".
func formatAge(d time.Duration) string {
	switch {
	case d < 0:
		return "0 s"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d/time.Second))
	case d < time.Hour:
		return two(d, time.Minute, "min", time.Second, "s")
	case d < 24*time.Hour:
		return two(d, time.Hour, "h", time.Minute, "min")
	}
	return two(d, 24*time.Hour, "d", time.Hour, "h")
}

func two(d, first time.Duration, name string, second time.Duration, name2 string) string {
	if rest := d % first / second; rest > 0 {
		return fmt.Sprintf("%d %s %d %s", d/first, name, rest, name2)
	}
	return fmt.Sprintf("%d %s", d/first, name)
}

// formatRate returns a number per second, per minute or per hour, whichever is
// easier to read.
func formatRate(perSecond float64) string {
	switch {
	case perSecond == 0:
		return "0"
	case perSecond >= 1 || perSecond <= -1:
		return fmt.Sprintf("%.1f/s", perSecond)
	case perSecond*60 >= 1 || perSecond*60 <= -1:
		return fmt.Sprintf("%.1f/min", perSecond*60)
	}
	return fmt.Sprintf("%.1f/h", perSecond*3600)
}
