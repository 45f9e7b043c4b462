package compare

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Result is what the candidate would change.
type Result struct {
	Candidate string `json:"candidate,omitempty"` // Candidate.Name
	// Since and Until are the times of the first and the last line. They are
	// zero if there was none.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// Partial says which limit was reached, so that not all lines were examined.
	// It is empty if all of them were.
	Partial string `json:"partial,omitempty"`

	Lines     int64 `json:"lines"`    // of the log
	Messages  int64 `json:"messages"` // that were accepted
	Compared  Count `json:"compared"` // accepted, and refused because the client may not relay
	Unchanged Count `json:"unchanged"`
	// Totals are the counts of each kind of change that was found, the most
	// serious first.
	Totals []Total `json:"totals"`
	// Domains are the recipient domains with changes, those with the most mail
	// that changes first. UnchangedDomains is the number of the others.
	Domains          []Domain `json:"domains"`
	UnchangedDomains int      `json:"unchangedDomains"`
	// Other counts the domains beyond Limits.Domains. It is nil if there are
	// none.
	Other *Domain `json:"other,omitempty"`
	// Notes are sentences about what the log does not show for this mail.
	Notes []string `json:"notes,omitempty"`
}

// A Total is the count of one kind of change.
type Total struct {
	Kind Kind `json:"kind"`
	Count
}

// A Domain is a recipient domain with changes.
type Domain struct {
	Name      string   `json:"name"`
	Unchanged Count    `json:"unchanged"`
	Changed   Count    `json:"changed"`
	Changes   []Change `json:"changes"` // the most serious first
}

// The kinds of notes that have a number.
const (
	cutLists     = iota // recipients that are not in the log
	noGate              // messages of receive connectors without a Gate
	manyRefusals        // refusals that are counted in one line
	noteCount
)

// note counts n cases of a note.
func (w *work) note(kind int, n int64) { w.noted[kind] += n }

// result returns the result of the lines so far.
func (w *work) result() *Result {
	r := w.collected()
	r.Lines = w.entries
	for _, note := range slices.Concat(w.before.plan.Unknown(), w.after.plan.Unknown()) {
		if !slices.Contains(r.Notes, note) {
			r.Notes = append(r.Notes, note)
		}
	}
	add := func(n int64, format string) {
		if n > 0 {
			r.Notes = append(r.Notes, fmt.Sprintf(format, n))
		}
	}
	add(w.noted[cutLists], "%d recipients are not in the log, because the list of recipients of a message was too long.")
	add(w.noted[noGate], "%d messages came from receive connectors that the relay does not have now, or that have no policy.Gate: it is assumed that they accept the mail.")
	add(w.noted[manyRefusals], "%d refusals are only counted in the log, so they were not compared.")
	return r
}

// String returns the result as text of several lines, with the first 50 domains.
// Characters of the log that are not printable are quoted.
func (r *Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d messages", r.Messages)
	if !r.Since.IsZero() {
		fmt.Fprintf(&b, " from %s to %s", r.Since.UTC().Format(time.DateTime), r.Until.UTC().Format(time.DateTime))
	}
	fmt.Fprintf(&b, ", %d recipients: %d unchanged\n", r.Compared.Recipients, r.Unchanged.Recipients)
	if r.Partial != "" {
		fmt.Fprintf(&b, "not complete: %s\n", r.Partial)
	}
	for _, t := range r.Totals {
		fmt.Fprintf(&b, "%8d %s\n", t.Recipients, t.Kind.Text())
	}
	domains := r.Domains[:min(len(r.Domains), 50)]
	if r.Other != nil && len(r.Other.Changes) > 0 {
		domains = append(slices.Clip(domains), *r.Other)
	}
	for i := range domains {
		domains[i].write(&b)
	}
	if n := len(r.Domains) - 50; n > 0 {
		fmt.Fprintf(&b, "\nand %d more domains\n", n)
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "\nNote: %s\n", note)
	}
	return b.String()
}

func (d *Domain) write(b *strings.Builder) {
	fmt.Fprintf(b, "\n%s: %d of %d recipients change\n", printable(d.Name), d.Changed.Recipients, d.Changed.Recipients+d.Unchanged.Recipients)
	for i := range d.Changes {
		ch := &d.Changes[i]
		fmt.Fprintf(b, "%8d %s\n         now: %s\n         new: %s\n", ch.Recipients, ch.Kind.Text(),
			printable(ch.Before.String()), printable(ch.After.String()))
		for _, e := range ch.Examples {
			fmt.Fprintf(b, "         %s %s from <%s> to <%s>\n", e.Time.UTC().Format(time.DateTime),
				printable(e.ID), printable(e.Sender), printable(e.Recipient))
		}
	}
}

// printable quotes what is not printable in text from the log.
func printable(s string) string {
	q := strconv.Quote(s)
	if q[1:len(q)-1] == s {
		return s
	}
	return q
}
