package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"mime"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/header"
)

var headerCommand = command{
	name: "header", args: "[FILE]", local: true,
	summary: "read the header of a message: who sent it, which hosts it passed, and where it waited",
	details: `
The file is a message, or only its header, for example copied from a mail program.
Without a file, or with "-", it is the standard input. No relay is needed.

A host writes its Received field above those of the hosts before it. So only the fields
of your own hosts are certain: a sender can forge all fields below them.`,
	define: func(*flag.FlagSet) action {
		return func(_ context.Context, s *session, args []string) error {
			if len(args) > 1 {
				return wrongUsage("header takes one file")
			}
			var in io.Reader = s.in
			if len(args) == 1 && args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer f.Close()
				in = f
			}
			section, err := readHeader(in)
			if err != nil {
				return err
			}
			return showHeader(s, reportOf(section))
		}
	},
}

// maxHeader is how many bytes of a message are read. Headers of mail that has passed
// filters have up to 100 kB.
const maxHeader = 1 << 20

// readHeader reads a header section.
func readHeader(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxHeader))
	if err != nil {
		return nil, err
	}
	section := header.Of(text, len(text) == maxHeader)
	for range header.All(section) {
		return section, nil
	}
	return nil, &nothingError{"this is not a message: it does not begin with a header field"}
}

// A headerReport is what a header says.
type headerReport struct {
	Fields []headerField `json:"fields"`
	Hops   []hop         `json:"hops"` // the first host at the beginning
	// First is the client of the first host.
	First string `json:"first,omitempty"`
	// TotalSeconds is the time from the first to the last known time of a hop.
	TotalSeconds *float64 `json:"totalSeconds,omitempty"`
	// Slowest is the host before which the message waited longest.
	Slowest string `json:"slowest,omitempty"`
	slowest time.Duration
}

// A headerField is a field that people look for.
type headerField struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// shownFields are the fields of a report, in lower case, in addition to X- fields of
// filters.
var shownFields = []string{"from", "sender", "reply-to", "to", "cc", "subject", "date", "message-id", "return-path", "authentication-results", "received-spf"}

// shown reports whether a field is in the report.
func shown(name string) bool {
	name = strings.ToLower(name)
	return slices.Contains(shownFields, name) || strings.HasPrefix(name, "x-spam") || strings.HasPrefix(name, "x-ms-exchange-organization-scl")
}

// maxFields is the number of fields in a report.
const maxFields = 50

// reportOf reads a header section.
func reportOf(section []byte) *headerReport {
	report := &headerReport{Fields: []headerField{}, Hops: []hop{}}
	words := new(mime.WordDecoder)
	for f := range header.All(section) {
		if len(report.Fields) == maxFields {
			break
		}
		if !shown(f.Name()) {
			continue
		}
		value := strings.TrimSpace(f.Value())
		if text, err := words.DecodeHeader(value); err == nil {
			value = text
		}
		report.Fields = append(report.Fields, headerField{f.Name(), value})
	}
	var begun, ended time.Time
	for i, h := range header.TraceHops(section) {
		one := hop{From: h.From, By: h.By, With: h.With, Time: h.Time}
		if h.HasDelay {
			seconds := h.Delay.Seconds()
			one.DelaySeconds = &seconds
			if h.Delay > report.slowest {
				report.slowest, report.Slowest = h.Delay, h.By
			}
		}
		if i == 0 {
			report.First = h.From
		}
		if !h.Time.IsZero() {
			if begun.IsZero() {
				begun = h.Time
			}
			ended = h.Time
		}
		report.Hops = append(report.Hops, one)
	}
	if len(report.Hops) > 1 && !begun.IsZero() {
		total := ended.Sub(begun).Seconds()
		report.TotalSeconds = &total
	}
	return report
}

// showHeader prints a report.
func showHeader(s *session, r *headerReport) error {
	if s.json {
		return s.printValue(r)
	}
	for _, f := range r.Fields {
		s.print("%s: %s", f.Name, short(f.Value, maxCell))
	}
	if len(r.Hops) == 0 {
		s.print("\nno host has written a Received field")
		return nil
	}
	s.print("")
	if err := writeTrace(s, r.Hops); err != nil {
		return err
	}
	s.print("")
	s.field("First", r.First)
	s.field("Hops", fmt.Sprint(len(r.Hops)))
	if r.TotalSeconds != nil {
		s.field("Time", signed(time.Duration(*r.TotalSeconds*float64(time.Second))))
	}
	if r.slowest > 0 {
		s.field("Longest wait", duration(r.slowest)+" before "+r.Slowest)
	}
	return nil
}

// signed returns a duration, which is negative if the clocks of two hosts differ.
func signed(d time.Duration) string {
	if d < 0 {
		return "-" + duration(-d)
	}
	return duration(d)
}
