package main

import (
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
)

// Twice the input takes about twice the time.
func TestDoubling(t *testing.T) {
	doubling.Time(t, map[string]func(string){
		"readEvents": func(s string) {
			readEvents(strings.NewReader(s), func(string, document) error { return nil })
		},
		"header": func(s string) {
			if section, err := readHeader(strings.NewReader(s)); err == nil {
				reportOf(section)
			}
		},
		"inert":     func(s string) { inert(s) },
		"inertJSON": func(s string) { inertJSON([]byte(s)) },
	}, append([]string{"data: a\n", "data:\n", "event: a\n", "data: a\n\n", "\u202e", "\u0301"}, doubling.Units...))
}
