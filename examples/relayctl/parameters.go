package main

import (
	"flag"
	"net/url"
	"strings"
	"time"
)

// parameters are the parameters of a request that flags set.
type parameters struct {
	url.Values
	next string // the parameter that selects the next page, if it is not after
}

// newParameters adds a flag for each line "NAME: help". The flag NAME sets the
// parameter NAME. A word in back quotes in the help is the name of the value.
func newParameters(fs *flag.FlagSet, lines ...string) parameters {
	p := parameters{Values: url.Values{}}
	for _, line := range lines {
		name, help, _ := strings.Cut(line, ": ")
		fs.Func(name, help, func(value string) error {
			if value == "" {
				return errEmpty
			}
			p.Set(name, value)
			return nil
		})
	}
	return p
}

// errEmpty keeps an empty variable of a script from selecting all messages.
var errEmpty = wrongUsage("the value is empty")

// times adds flags for times: in the form of RFC 3339, or how long ago.
func (p parameters) times(fs *flag.FlagSet, lines ...string) {
	for _, line := range lines {
		name, help, _ := strings.Cut(line, ": ")
		fs.Func(name, help, func(value string) error {
			t, err := readTime(value, -1)
			if err == nil {
				p.Set(name, t.UTC().Format(time.RFC3339Nano))
			}
			return err
		})
	}
}

// readTime reads a time, or a duration from now on. The sign is -1 if the duration
// is in the past.
func readTime(text string, sign time.Duration) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return time.Now().Add(sign * d), nil
	}
	for _, form := range []string{time.RFC3339, "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.Parse(form, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, wrongUsage("%q is neither a duration, for example 2h, nor a time, for example 2026-11-28T23:00:00Z", text)
}
