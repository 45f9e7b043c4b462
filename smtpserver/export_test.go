package smtpserver

import (
	"io"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// ReadText runs pieces of text, as DATA brings them, through a textReader.
func ReadText(pieces []string, normalize bool, w io.Writer) (bare, end bool, rest string) {
	t := textReader{dots: true, maxLine: noLimitInt, fix: normalize}
	for i, p := range pieces {
		n, done := t.read([]byte(p), writerSink{w})
		if done {
			for _, q := range pieces[i+1:] {
				p += q
			}
			return t.hasBare, true, p[n:]
		}
	}
	return t.hasBare, false, ""
}

type writerSink struct{ io.Writer }

func (w writerSink) put(p []byte) { w.Write(p) }

// ContentMemory is what content of all sessions is counted to hold.
func ContentMemory(srv *Server) int64 { return srv.contentMemory.Load() }

// FailLogin counts a failed login. It reports whether the LoginLimit allowed it.
func FailLogin(l *LoginLimit, ip netip.Addr) bool {
	permit, _ := l.tryBegin(source(ip), time.Now())
	if permit == loginChecked {
		l.end(source(ip), true)
	}
	return permit == loginChecked
}

// LoginAddresses returns how many addresses a LoginLimit remembers.
func LoginAddresses(l *LoginLimit) int { return len(l.failed.entries) }

// Shortage takes single bytes from a budget that n messages use up.
func Shortage(b *testing.B, n int) {
	budget := &ContentBudget{}
	began := time.Now()
	for i := range n {
		c := &contentShare{budget: budget, began: began.Add(-time.Duration(i) * time.Millisecond), session: silent{}}
		c.take(budget.max() / int64(n))
	}
	last := &contentShare{budget: budget, began: began, session: silent{}}
	for b.Loop() {
		last.take(1)
	}
}

type silent struct{}

func (silent) stopReading() {}

// Verbs returns the commands that the server implements.
func Verbs() []string { return slices.Sorted(maps.Keys(commands)) }

// HelpLines returns the syntax of the commands for HELP.
func HelpLines() (lines []string) {
	for _, h := range helpLines {
		lines = append(lines, h.syntax)
	}
	return lines
}
