package header

import (
	"net/mail"
	"slices"
	"strings"
	"time"
)

// A Hop is what one host wrote about a message in its Received field (RFC 5321,
// 4.4). All texts are as in the message: they may contain any characters, and may be
// forged, except in fields that trusted hosts wrote.
type Hop struct {
	// From is the client: its name in HELO, and in a comment its name in the DNS
	// and its address.
	From string
	By   string // the host that received the message
	With string // the protocol: "ESMTPS"
	ID   string
	For  string // the recipient
	Time time.Time
	// Delay is the time since the previous hop. It is negative if the clocks of the
	// hosts differ. HasDelay is false if one of the times is not known.
	Delay    time.Duration
	HasDelay bool
}

// Limits of TraceHops.
const (
	maxTraceHops  = 100 // Received fields
	maxTraceField = 4 << 10
)

// TraceHops returns the hops of a message, the oldest first. section is its header
// section. It reads the newest 100 Received fields, and the first 4 KiB of each of
// them. Parts of a field that it cannot read are empty.
func TraceHops(section []byte) []Hop {
	var hops []Hop
	for f := range All(section) {
		if !f.Is("Received") {
			continue
		}
		if len(hops) == maxTraceHops {
			break
		}
		hops = append(hops, parseHop(f[:min(len(f), maxTraceField)].Value()))
	}
	slices.Reverse(hops)
	for i := 1; i < len(hops); i++ {
		if before := hops[i-1].Time; !before.IsZero() && !hops[i].Time.IsZero() {
			hops[i].Delay, hops[i].HasDelay = hops[i].Time.Sub(before), true
		}
	}
	return hops
}

// parseHop parses the unfolded value of a Received field: clauses that begin with a
// keyword, a semicolon, and a date.
func parseHop(value string) Hop {
	var h Hop
	var at *string // the clause
	var words int  // of the clause, without comments
	add := func(text string) {
		if at == nil {
			return
		}
		if *at != "" {
			*at += " "
		}
		*at += text
	}
	for rest := strings.TrimLeft(value, " \t"); rest != ""; rest = strings.TrimLeft(rest, " \t") {
		if rest[0] == '(' {
			n := Comment(rest)
			if n < 0 {
				n = len(rest)
			}
			if at == &h.From {
				add(rest[:n])
			}
			rest = rest[n:]
			continue
		}
		n := wordEnd(rest)
		word := rest[:n]
		rest = rest[n:]
		date := strings.HasSuffix(word, ";")
		word = strings.TrimSuffix(word, ";")
		if clause := h.clause(word); clause != nil && (at == nil || words > 0) && *clause == "" {
			at, words = clause, 0
		} else if word != "" {
			if words++; words == 1 || at == &h.For {
				add(word)
			}
		}
		if date {
			h.Time = parseDate(rest)
			break
		}
	}
	return h
}

// clause returns the field for a keyword, or nil.
func (h *Hop) clause(word string) *string {
	switch strings.ToLower(word) {
	case "from":
		return &h.From
	case "by":
		return &h.By
	case "with":
		return &h.With
	case "id":
		return &h.ID
	case "for":
		return &h.For
	case "via":
		return new(string) // it is not kept
	}
	return nil
}

// wordEnd returns the length of the word at the start of s: up to a blank, or up to
// and with a semicolon, outside quotes.
func wordEnd(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			quoted = !quoted
		case ' ', '\t':
			if !quoted {
				return i
			}
		case ';':
			if !quoted {
				return i + 1
			}
		}
	}
	return len(s)
}

// parseDate parses a date (RFC 5322, 3.3 and 4.3). It returns the zero time if that
// fails.
func parseDate(s string) time.Time {
	s = strings.TrimSpace(s)
	if len(s) > 200 {
		return time.Time{}
	}
	t, err := mail.ParseDate(s)
	if err != nil {
		before, _, _ := strings.Cut(s, "(") // a comment that is not closed or not at the end
		t, err = mail.ParseDate(strings.TrimSpace(before))
	}
	if err != nil {
		return time.Time{}
	}
	// In UTC, because the zone may be one that JSON cannot represent: "+2400".
	if t = t.UTC(); t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}
	}
	return t
}
