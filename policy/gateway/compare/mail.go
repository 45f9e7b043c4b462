package compare

import (
	"context"
	"strconv"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/site"
	"github.com/bridgehead-mail/bridgehead/queue/tracking"
)

// mail is a message of the log. Question.To is the recipient that is decided
// about.
type mail struct {
	site.Mail
	authenticated bool
	entry         *tracking.Entry
}

// mailOf returns the message of a line.
func mailOf(e *tracking.Entry) *mail {
	c := e.Columns
	m := &mail{entry: e}
	m.Time, m.From, m.Labels = e.Time, e.Sender, e.Labels
	m.Size, _ = strconv.ParseInt(c["total-bytes"], 10, 64) // 0 if the line does not have it
	m.Connector, m.Client = c["connector-id"], c["client-ip"]
	m.System = c["source"] == "DSN"
	m.authenticated = detail(c["message-info"], "login") != ""
	m.Priority, _ = strconv.Atoi(detail(c["message-info"], "priority"))
	return m
}

// detail returns the value of a key in the column message-info: "key=value;
// key=value".
func detail(info, key string) string {
	for info != "" {
		var pair string
		pair, info, _ = strings.Cut(info, "; ")
		if k, value, ok := strings.Cut(pair, "="); ok && k == key {
			return value
		}
	}
	return ""
}

// recipients returns the recipients of a line, and how many of them the line does
// not have, because the column was cut.
func recipients(e *tracking.Entry) (list []string, missing int64) {
	list = e.Recipients
	n, err := strconv.Atoi(e.Columns["recipient-count"])
	if err != nil || n <= len(list) && !strings.HasSuffix(e.Columns["recipient-address"], "...") {
		return list, 0
	}
	if len(list) > 0 {
		list = list[:len(list)-1] // it is cut too
	}
	return list, int64(max(n-len(list), 0))
}

// work is a comparison that runs.
type work struct {
	before, after *settings
	*collector

	entries int64
	noted   [noteCount]int64
}

// entry compares the decisions about one line.
func (w *work) entry(ctx context.Context, e *tracking.Entry) {
	w.entries++
	w.span(e.Time)
	switch e.Event {
	case "RECEIVE":
		w.message(ctx, mailOf(e))
	case "REJECT":
		w.refusal(ctx, e)
	}
}

// message compares the decisions about a message that was accepted.
func (w *work) message(ctx context.Context, m *mail) {
	w.messages++
	to, missing := recipients(m.entry)
	w.note(cutLists, missing)
	has := may
	if g := w.before.gates[m.Connector]; g != nil && !m.System {
		outside := false
		for _, r := range to {
			outside = outside || g.domains.Lookup(addr.DomainOf(r)) == nil
		}
		has = g.right(m, outside)
	} else if !m.System && m.entry.Columns["source"] == "SMTP" {
		w.note(noGate, 1)
	}
	for _, r := range to {
		w.recipient(ctx, m, r, has)
	}
}

// recipient compares the decisions about one recipient. has is whether the client
// may relay, with both settings: a candidate does not change it.
func (w *work) recipient(ctx context.Context, m *mail, to string, has right) {
	m.To = to
	domain := addr.DomainOf(to)
	before, after := w.before.decide(ctx, m, domain, has), w.after.decide(ctx, m, domain, has)
	if before.Outcome == Unsure && after.Outcome == Unsure { // it was accepted: compare the routes
		before, after = w.before.decide(ctx, m, domain, may), w.after.decide(ctx, m, domain, may)
	}
	w.add(m, domain, before, after)
}

// refusal compares the decisions about recipients that were refused because the
// client may not relay. What was refused for another reason is assumed to be refused
// again.
func (w *work) refusal(ctx context.Context, e *tracking.Entry) {
	if n, err := strconv.ParseInt(detail(e.Columns["message-info"], "count"), 10, 64); err == nil && n > 0 {
		w.note(manyRefusals, n)
		return
	}
	m := mailOf(e)
	if !strings.HasPrefix(e.Columns["recipient-status"], relayDenied) || w.before.gates[m.Connector] == nil {
		return
	}
	for _, to := range e.Recipients {
		w.recipient(ctx, m, to, mayNot)
	}
}
