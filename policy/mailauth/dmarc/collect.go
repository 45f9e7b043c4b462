package dmarc

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/policy/internal/lookup"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dkim"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/spf"
)

// An Observation describes one message for a [Collector].
type Observation struct {
	Source       netip.Addr // the host that sent the message
	EnvelopeFrom string     // the domain of the reverse-path
	Verdict      *Verdict
	SPF          *spf.Verdict  // nil if SPF was not checked
	DKIM         *dkim.Verdict // nil if DKIM was not checked
	// Applied is the disposition that was applied to the message. Reasons explains
	// why it differs from the policy.
	Applied Disposition
	Reasons []Reason
}

// A Collector counts messages for aggregate reports. It keeps one row for equal
// messages, in memory. The zero value is ready for use. A Collector is safe for
// concurrent use.
type Collector struct {
	// MaxRows is the maximum number of rows. Default: 100,000, which take about 60
	// MiB. The names in the rows are limited to 600 * MaxRows bytes in total, so
	// that very long names do not need more memory. Beyond these limits a message
	// is dropped and only counted; see Dropped.
	MaxRows int

	mu      sync.Mutex // guards the fields below
	days    map[dayKey]*dayRows
	rows    int
	bytes   int64
	dropped int64
}

// dayRows are the rows of one policy domain and day.
type dayRows struct {
	rows   map[string]*ReportRow
	record *Record // the latest
	bytes  int64
}

// A dayKey is a policy domain, a day in UTC, and how the policy was found.
type dayKey struct {
	domain           string
	day              int64 // since 1970
	publicSuffixList bool
}

// Add counts a message. at is the time when it was received. Add ignores messages
// without a policy, with a policy without rua, with a result other than Pass and
// Fail, or without a valid Source.
func (c *Collector) Add(at time.Time, o Observation) {
	v := o.Verdict
	if v == nil || v.Record == nil || len(v.Record.Reports) == 0 || v.Result != Pass && v.Result != Fail || !o.Source.IsValid() {
		return
	}
	row := rowOf(o)
	id := row.key()
	key := dayKey{v.Domain, at.Unix() / 86400, v.PublicSuffixList}
	limit := c.MaxRows
	if limit <= 0 {
		limit = 100_000
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	day := c.days[key]
	if day != nil && day.rows[id] != nil {
		day.rows[id].Count++
		c.note(day, v.Record)
		return
	}
	if c.rows >= limit || c.bytes > int64(limit)*rowBytes {
		c.dropped++
		return
	}
	if day == nil {
		if c.days == nil {
			c.days = make(map[dayKey]*dayRows)
		}
		day = &dayRows{rows: make(map[string]*ReportRow)}
		c.days[key] = day
	}
	day.rows[id] = row
	c.rows++
	c.grow(day, row.size()+int64(len(id)))
	c.note(day, v.Record)
}

// rowBytes is the usual size of a row, with its share of the maps.
const rowBytes = 600

// note stores the latest record. The caller of note or grow holds c.mu.
func (c *Collector) note(day *dayRows, r *Record) {
	if day.record != r {
		c.grow(day, r.size()-day.record.size())
		day.record = r
	}
}

func (c *Collector) grow(day *dayRows, n int64) {
	day.bytes += n
	c.bytes += n
}

// size returns the size of the parts whose length a sender controls.
func (r *Record) size() (n int64) {
	if r == nil {
		return 0
	}
	for _, uris := range [...][]string{r.Reports, r.FailureReports} {
		for _, uri := range uris {
			n += int64(len(uri))
		}
	}
	return n
}

func (r *ReportRow) size() int64 {
	n := len(r.HeaderFrom) + len(r.EnvelopeFrom)
	for _, d := range r.DKIM {
		n += len(d.Domain) + len(d.Selector) + len(d.Comment)
	}
	if r.SPF != nil {
		n += len(r.SPF.Domain) + len(r.SPF.Comment)
	}
	return int64(n)
}

// Dropped returns the number of messages that were not kept because of MaxRows.
func (c *Collector) Dropped() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dropped
}

// Take returns and removes the reports for the days (in UTC) that ended before the
// given time: one for each policy domain and day. The caller must set
// Organization, Email and ID; see [Report].
func (c *Collector) Take(before time.Time) []*Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	var reports []*Report
	for key, day := range c.days {
		begin := time.Unix(key.day*86400, 0).UTC()
		end := begin.Add(24*time.Hour - time.Second)
		if !end.Before(before) {
			continue
		}
		r := &Report{Domain: key.domain, Record: day.record, PublicSuffixList: key.publicSuffixList, Begin: begin, End: end}
		for _, row := range day.rows {
			r.Rows = append(r.Rows, *row)
		}
		slices.SortFunc(r.Rows, func(a, b ReportRow) int {
			if n := b.Count - a.Count; n != 0 {
				return n
			}
			return strings.Compare(a.key(), b.key())
		})
		reports = append(reports, r)
		c.rows -= len(day.rows)
		c.bytes -= day.bytes
		delete(c.days, key)
	}
	slices.SortFunc(reports, func(a, b *Report) int {
		if n := a.Begin.Compare(b.Begin); n != 0 {
			return n
		}
		return strings.Compare(a.Domain, b.Domain)
	})
	return reports
}

// maxSignatures is the maximum number of signatures in one row. RFC 9990, 3.1.3
// recommends at most 100.
const maxSignatures = 10

const maxDomain = 253 // RFC 1035, 2.3.4

func rowOf(o Observation) *ReportRow {
	v := o.Verdict
	row := &ReportRow{
		Source: o.Source, Count: 1, HeaderFrom: v.Author, EnvelopeFrom: o.EnvelopeFrom,
		Applied: o.Applied, DKIMAligned: v.DKIM, SPFAligned: v.SPF, Passed: v.Result == Pass, Reasons: o.Reasons,
	}
	if o.SPF != nil {
		row.SPF = &ReportSPF{Domain: o.SPF.Domain, Result: string(o.SPF.Result), Comment: text(o.SPF.Err)}
	}
	if o.DKIM != nil {
		for i := range o.DKIM.Signatures {
			// A name that is too long for DNS is not a domain.
			if s := &o.DKIM.Signatures[i]; s.Domain != "" && len(s.Domain) <= maxDomain && len(s.Selector) <= maxDomain {
				row.DKIM = append(row.DKIM, ReportDKIM{Domain: s.Domain, Selector: s.Selector, Result: string(s.Result), Comment: text(s.Err)})
			}
		}
	}
	// RFC 9990, 3.1.3: the order is strictly aligned passes, other passes, the rest.
	rank := func(d ReportDKIM) int {
		switch {
		case d.Result == string(dkim.Pass) && addr.FoldDomain(d.Domain) == v.Author:
			return 0
		case d.Result == string(dkim.Pass):
			return 1
		}
		return 2
	}
	slices.SortStableFunc(row.DKIM, func(a, b ReportDKIM) int { return rank(a) - rank(b) })
	row.DKIM = row.DKIM[:min(len(row.DKIM), maxSignatures)]
	return row
}

// text returns the text of an error for the receiver of the report.
func text(err error) string {
	s := lookup.PublicText(err)
	return s[:min(len(s), 200)]
}

// key returns the key of a row. Messages with equal keys are counted together.
func (r *ReportRow) key() string {
	var b strings.Builder
	put := func(parts ...string) {
		for _, p := range parts {
			b.WriteString(p)
			b.WriteByte(0)
		}
	}
	yes := func(v bool) string {
		if v {
			return "1"
		}
		return "0"
	}
	put(r.Source.String(), r.HeaderFrom, r.EnvelopeFrom, string(r.Applied), yes(r.DKIMAligned), yes(r.SPFAligned))
	for _, reason := range r.Reasons {
		put(reason.Type, reason.Comment)
	}
	if r.SPF != nil {
		put("spf", r.SPF.Domain, r.SPF.Result)
	}
	for _, d := range r.DKIM {
		put("dkim", d.Domain, d.Selector, d.Result)
	}
	return b.String()
}
