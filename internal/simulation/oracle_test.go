package simulation

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/mail"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/dsn"
)

// An oracle knows what clients sent, what the relay replied and what arrived. At the end
// it says what is wrong.
type oracle struct {
	w        *world
	mu       sync.Mutex // guards all below
	letters  []*letter
	strays   []string // arrivals that belong to no letter
	problems []string
	results  bool // the application gets final results
	most     used
}

// A letter is a message of a client.
type letter struct {
	oracle   *oracle
	n        int
	from     string
	rcpts    []*rcpt
	text     string
	stranger bool
	eightBit bool
	state    state
	reports  []*arrival
}

// A state is what the client knows about its message.
type state int

const (
	unsent       state = iota // the client did not send all of it
	unknown                   // the client got no reply to the end of data
	refusedState              // the reply was 4xx or 5xx
	acknowledged              // the reply was 250
)

var states = [...]string{"unsent", "unknown", "refused", "acknowledged"}

// An rcpt is a recipient of a letter.
type rcpt struct {
	*letter
	addr     string
	notify   string
	accepted bool // the reply to RCPT was 250
	arrivals []*arrival
	removed  bool      // by an operator
	failed   bool      // the relay has said so in an event
	failedAt time.Time // when it said so last
	bad      bool      // the relay keeps the letter as bad mail

	ended, delivered bool // it has a final result; one was "delivered"
	givenUp          bool // an operator may have given its final result up
}

// An arrival is a message that a host has accepted.
type arrival struct {
	oracle    *oracle
	host      string
	sent      time.Time // when the host had all of it
	at        time.Time // when the host accepted it
	confirmed time.Time // when the relay read the reply 250; zero is never
	lie       string    // what the host said instead of 250
	about     []string  // of a report: its recipients that failed
	key       string    // of a report: the same for the same report
	made      time.Time // of a report: its Date field
}

func (o *oracle) problem(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.problems = append(o.problems, fmt.Sprintf(format, args...))
}

// letter returns a new letter.
func (o *oracle) letter() *letter {
	o.mu.Lock()
	defer o.mu.Unlock()
	l := &letter{oracle: o, n: len(o.letters)}
	o.letters = append(o.letters, l)
	return l
}

func (l *letter) set(s state) {
	l.oracle.mu.Lock()
	defer l.oracle.mu.Unlock()
	l.state = s
}

// confirm notes that the relay has read the reply of the host.
func (a *arrival) confirm() {
	a.oracle.mu.Lock()
	defer a.oracle.mu.Unlock()
	a.confirmed = time.Now()
}

var simField = regexp.MustCompile(`(?m)^X-Sim: (\d+)\r$`)

// arrived notes that a host has accepted a message.
func (o *oracle) arrived(host, from string, rcpts []string, text string, sent time.Time, talk []string) *arrival {
	a := &arrival{oracle: o, host: host, sent: sent, at: time.Now()}
	o.mu.Lock()
	defer o.mu.Unlock()
	if strings.HasPrefix(rcpts[0], "m") && !strings.Contains(rcpts[0], ".r") {
		o.report(a, rcpts, text)
		return a
	}
	l := o.find(text)
	if l == nil {
		o.strays = append(o.strays, fmt.Sprintf("%s got a message that no client sent: %.200q\n%s", host, text, strings.Join(talk, "\n")))
		return a
	}
	if from != l.from {
		o.strays = append(o.strays, fmt.Sprintf("letter %d is from <%s>, not <%s>", l.n, from, l.from))
	}
	if !strings.HasSuffix(text, l.text) || !onlyTrace(strings.TrimSuffix(text, l.text)) {
		o.strays = append(o.strays, fmt.Sprintf("letter %d: its content has changed: %.300q", l.n, text))
	}
	for _, addr := range rcpts {
		if r := l.rcpt(addr); r == nil || !r.accepted {
			o.strays = append(o.strays, fmt.Sprintf("letter %d arrived at %s, which is none of its recipients", l.n, addr))
		} else {
			r.arrivals = append(r.arrivals, a)
			o.w.trace.add("%s: accepts letter %d for %s", host, l.n, addr)
		}
	}
	return a
}

func (o *oracle) find(text string) *letter {
	m := simField.FindStringSubmatch(text)
	if m == nil {
		return nil
	}
	n, _ := strconv.Atoi(m[1])
	if n >= len(o.letters) {
		return nil
	}
	return o.letters[n]
}

func (l *letter) rcpt(addr string) *rcpt {
	for _, r := range l.rcpts {
		if strings.EqualFold(r.addr, addr) {
			return r
		}
	}
	return nil
}

// onlyTrace reports whether a header consists of Received fields.
func onlyTrace(header string) bool {
	for _, line := range strings.SplitAfter(header, "\r\n") {
		if line != "" && !strings.HasPrefix(line, "Received: ") && line[0] != '\t' && line[0] != ' ' {
			return false
		}
	}
	return true
}

// report notes that a report has arrived.
func (o *oracle) report(a *arrival, rcpts []string, text string) {
	var n int
	fmt.Sscanf(rcpts[0], "m%d@", &n)
	failed, key := failures(strings.NewReader(text))
	if m, err := mail.ReadMessage(strings.NewReader(text)); err == nil {
		a.made, _ = m.Header.Date()
	}
	if n >= len(o.letters) || key == "" {
		o.strays = append(o.strays, fmt.Sprintf("%s got for %s: %.200q", a.host, rcpts[0], text))
		return
	}
	l := o.letters[n]
	a.about, a.key = failed, key
	l.reports = append(l.reports, a)
	o.w.trace.add("%s: accepts a report on letter %d: %s", a.host, n, key)
}

// failures returns the recipients that a report says have failed, and a key that is the
// same for the same report.
func failures(r io.Reader) (failed []string, key string) {
	report, err := dsn.Parse(r)
	if err != nil {
		return nil, ""
	}
	var keys []string
	for _, r := range report.Recipients {
		keys = append(keys, string(r.Action)+" "+r.Final)
		if r.Action == dsn.Failed {
			failed = append(failed, r.Final)
		}
	}
	slices.Sort(keys)
	return failed, strings.Join(keys, ", ")
}

// event notes an event of the queue.
func (o *oracle) event(e *queue.Event) {
	if e.System || e.Kind != queue.EventFail && e.Kind != queue.EventSuppressed {
		return
	}
	o.each(e.Recipients, func(r *rcpt) { r.failed, r.failedAt = true, time.Now() })
}

func (o *oracle) each(rs []queue.EventRecipient, f func(*rcpt)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range rs {
		o.about(r.Addr, f)
	}
}

// about calls f for the recipient with an address. The caller has locked o.
func (o *oracle) about(addr string, f func(*rcpt)) {
	var n int
	if _, err := fmt.Sscanf(addr, "m%d.", &n); err != nil || n >= len(o.letters) {
		return
	}
	if r := o.letters[n].rcpt(addr); r != nil {
		f(r)
	}
}

// removing notes that an operator removes a message, which may be a report.
func (o *oracle) removing(r *relay, info *queue.MessageInfo) {
	o.concerned(r, info, func(r *rcpt) { r.removed = true })
}

// concerned calls f for each recipient that a message in the queue is about: its own, or
// those in the report.
func (o *oracle) concerned(r *relay, info *queue.MessageInfo, f func(*rcpt)) {
	var addrs []string
	if info.System {
		m, err := r.store.Get(context.Background(), info.ID)
		if err != nil {
			return
		}
		addrs, _ = failures(io.NewSectionReader(m.Content, 0, m.Content.Size()))
	}
	for _, r := range info.Recipients {
		addrs = append(addrs, r.Addr)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, addr := range addrs {
		o.about(addr, f)
	}
}

// judge adds the problems of all letters.
func (o *oracle) judge(r *relay) {
	for info, err := range r.queue.Messages(context.Background(), queue.Filter{}) {
		switch {
		case err != nil:
			o.problem("the queue cannot be listed: %v", err)
		case info.Status != queue.MessageBad:
			o.problem("a message to %s is left in the queue: status %d, due %v, %d attempts, last: %+v", info.Recipients[0].Addr, info.Status,
				info.Due.Sub(o.w.begun), info.Recipients[0].Attempts, info.Recipients[0].Last.Reply)
		default:
			o.concerned(r, info, func(r *rcpt) { r.bad = true })
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.problems = append(o.problems, o.strays...)
	for _, l := range o.letters {
		for _, r := range l.rcpts {
			for _, p := range o.check(r) {
				o.problems = append(o.problems, fmt.Sprintf("letter %d (%s) to %s: %s%s", l.n, states[l.state], r.addr, p, r.history()))
			}
		}
		for _, p := range o.repeated(l.reports) {
			o.problems = append(o.problems, fmt.Sprintf("letter %d (%s): %s", l.n, states[l.state], p))
		}
	}
}

// bounds checks what must be bounded at the end.
func (o *oracle) bounds(r *relay) {
	r.disk.Lock()
	defer r.disk.Unlock()
	if n := r.attempts.Load(); n != 0 {
		o.problem("%d attempts are in progress after the end", n)
	}
}

// check returns what is wrong for one recipient.
func (o *oracle) check(r *rcpt) (problems []string) {
	var reports []*arrival
	for _, a := range r.reports {
		if slices.Contains(a.about, r.addr) {
			reports = append(reports, a)
		}
	}
	arrived, reported := len(r.arrivals) > 0, len(reports) > 0
	if r.state == unsent || r.state == refusedState || !r.accepted {
		if arrived || reported || r.bad {
			return []string{"it is not the relay's, and yet it arrived or was reported"}
		}
		return nil
	}
	if r.stranger && !slices.Contains(ownDomains, domain(r.addr)) {
		problems = append(problems, "a stranger was allowed to relay")
	}
	known := false // the relay knows that it was delivered
	for i, a := range r.arrivals {
		if o.explains(a) {
			continue
		}
		known = true
		for k, b := range r.arrivals {
			if k != i && (b.sent.After(a.confirmed) || k > i && !o.explains(b)) {
				problems = append(problems, fmt.Sprintf("arrival %d is followed by arrival %d, without a cause", i+1, k+1))
			}
		}
	}
	if (reported || r.bad) && known && !o.forgotten(r, reports) {
		problems = append(problems, "it arrived, and its failure was reported")
	}
	reportable := r.notify == "" || strings.Contains(r.notify, "FAILURE")
	if reported && !reportable {
		problems = append(problems, "a report that the sender does not want")
	}
	ended := arrived || reported || r.bad || r.removed || r.failed && !reportable
	if r.state == acknowledged && !ended {
		problems = append(problems, "LOST")
	}
	return append(problems, o.checkResult(r)...)
}

// forgotten reports whether the relay died before it had recorded the failure of a
// recipient. It then tries again.
func (o *oracle) forgotten(r *rcpt, reports []*arrival) bool {
	if r.failedAt.IsZero() { // it died at that moment
		return len(o.w.deaths) > 0
	}
	return slices.ContainsFunc(reports, func(a *arrival) bool { return o.diedAt(a.made) }) ||
		slices.ContainsFunc(o.w.deaths, func(at time.Time) bool {
			return !at.Before(r.failedAt) && (at.Sub(r.failedAt) <= recordTime || o.w.diskFailed(r.failedAt, at))
		})
}

// repeated returns which reports arrived again without a cause.
func (o *oracle) repeated(reports []*arrival) (problems []string) {
	last := map[string]*arrival{}
	for _, a := range reports {
		if before := last[a.key]; before != nil && !o.explains(before) && !o.diedAt(before.made) {
			problems = append(problems, "the same report arrived twice: "+a.key)
		}
		last[a.key] = a
	}
	return problems
}

// recordTime is how long the queue takes at most to record what a host replied (package
// spool: 100 ms), and the time that the simulation adds.
const recordTime = 200 * time.Millisecond

// explains reports whether a fault explains that the relay does not know of an arrival:
// the host's reply was lost, or the relay died before it had recorded the reply. It records
// a reply when it has read it, even if the attempt then continues with other recipients.
func (o *oracle) explains(a *arrival) bool {
	if a.confirmed.IsZero() || a.lie != "" {
		return true
	}
	return slices.ContainsFunc(o.w.deaths, func(at time.Time) bool {
		return !at.Before(a.confirmed) && (at.Sub(a.confirmed) <= recordTime || o.w.diskFailed(a.confirmed, at))
	})
}

// diedAt reports whether the relay died in about the second in which it made a report. It
// makes the report again if it had not recorded that it had made it. made is by the wall
// clock, which may have been set since then.
func (o *oracle) diedAt(made time.Time) bool {
	return slices.ContainsFunc(o.w.clock.moments(made), func(made time.Time) bool {
		return slices.ContainsFunc(o.w.deaths, func(at time.Time) bool {
			return at.Sub(made).Abs() <= 2*time.Second || o.w.diskFailed(made, at)
		})
	})
}

// history says what happened to a recipient.
func (r *rcpt) history() string {
	var b strings.Builder
	if r.from == "" {
		b.WriteString("\n\tits sender is null")
	}
	for _, a := range r.arrivals {
		fmt.Fprintf(&b, "\n\tarrived at %s %v, confirmed %v %s", a.host, a.since(a.at), a.since(a.confirmed), a.lie)
	}
	for _, a := range r.reports {
		fmt.Fprintf(&b, "\n\treport at %s %v, confirmed %v%s: %s", a.host, a.since(a.at), a.since(a.confirmed), a.lie, a.key)
	}
	fmt.Fprintf(&b, "\n\tNOTIFY=%s, failed %v, bad %v, removed %v", cmp.Or(r.notify, "(none)"), r.failed, r.bad, r.removed)
	return b.String()
}

func (a *arrival) since(at time.Time) string {
	if at.IsZero() {
		return "never"
	}
	return fmt.Sprintf("%.6f", at.Sub(a.oracle.w.begun).Seconds())
}

func domain(addr string) string { return addr[strings.LastIndexByte(addr, '@')+1:] }
