package site

import (
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// A Limiter is a part of a relay that has limits.
type Limiter interface {
	// LimitsInForce returns the limits that apply now: the settings, the defaults
	// of those that are not set, and those that follow from the memory limit.
	LimitsInForce() []Limit
}

// A Limit is a limit in force.
type Limit struct {
	Name string `json:"name"` // of the setting, for example "Hop.Concurrency"
	// Value is the number, in the Unit. It is nil if there is no limit, or if the
	// setting is not a number.
	Value *float64 `json:"value,omitempty"`
	Unit  string   `json:"unit,omitempty"` // "bytes", "bytes/s", "seconds", "percent", "per minute", "per second" or empty
	Text  string   `json:"text"`           // the value for people
}

// units are the units of numbers, by the end of the name of the setting.
var units = []struct{ suffix, unit string }{
	{"DataRate", "bytes/s"}, {"ConnectionRate", "per minute"}, {"MessageRate", "per minute"}, {"RecipientRate", "per minute"},
	{"Percent", "percent"}, {"Rate", "per second"},
	{"Size", "bytes"}, {"Bytes", "bytes"}, {"Memory", "bytes"}, {"Content", "bytes"}, {"Line", "bytes"},
}

// LimitsOf returns the fields of a struct of limits in force. none reports whether
// the value of a number means that there is no limit. A name is that of the field
// after prefix.
func LimitsOf(prefix string, limits any, none func(name string, value int64) bool) (all []Limit) {
	v := reflect.ValueOf(limits)
	for i := range v.NumField() {
		f, name := v.Field(i), prefix+v.Type().Field(i).Name
		switch value := f.Interface().(type) {
		case time.Duration:
			all = append(all, durationLimit(name, value, none(name, int64(value))))
		case []netip.Prefix:
			all = append(all, Limit{Name: name, Text: prefixes(value)})
		case float64:
			all = append(all, Number(name, value, value <= 0))
		case int:
			all = append(all, Number(name, float64(value), none(name, int64(value))))
		case int64:
			all = append(all, Number(name, float64(value), none(name, value)))
		default:
			if f.Kind() == reflect.Struct {
				all = append(all, LimitsOf(name+".", value, none)...)
			}
		}
	}
	return all
}

// Number returns a limit that is a number. Its unit follows from its name.
func Number(name string, value float64, none bool) Limit {
	l := Limit{Name: name, Text: "no limit"}
	for _, u := range units {
		if strings.HasSuffix(name, u.suffix) {
			l.Unit = u.unit
			break
		}
	}
	if none {
		return l
	}
	l.Value = &value
	switch l.Unit {
	case "bytes", "bytes/s":
		l.Text = binary(value) + strings.TrimPrefix(l.Unit, "bytes")
	case "":
		l.Text = strconv.FormatFloat(value, 'f', -1, 64)
	default:
		l.Text = strconv.FormatFloat(value, 'f', -1, 64) + " " + l.Unit
	}
	return l
}

// durationLimit returns a limit that is a time.
func durationLimit(name string, d time.Duration, none bool) Limit {
	l := Limit{Name: name, Unit: "seconds", Text: "no limit"}
	if !none {
		seconds := d.Seconds()
		l.Value, l.Text = &seconds, short(d)
	}
	return l
}

// Time returns a limit that is a time. A value that is not positive means that there
// is none.
func Time(name string, d time.Duration) Limit { return durationLimit(name, d, d <= 0) }

// short returns a duration without units that are zero at the end: "5m", "720h".
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// binary returns a number of bytes with a binary unit if it is a multiple of one.
func binary(n float64) string {
	for i, unit := range []string{"TiB", "GiB", "MiB", "KiB"} {
		size := float64(int64(1) << (40 - 10*i))
		if n >= size && math.Mod(n*100, size) == 0 {
			return strconv.FormatFloat(n/size, 'f', -1, 64) + " " + unit
		}
	}
	return strconv.FormatFloat(n, 'f', -1, 64) + " bytes"
}

func prefixes(list []netip.Prefix) string {
	if len(list) == 0 {
		return "none"
	}
	var b strings.Builder
	for i, p := range list {
		if i == 20 {
			fmt.Fprintf(&b, " and %d more", len(list)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(p.String())
	}
	return b.String()
}
