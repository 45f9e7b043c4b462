package console

import (
	"errors"
	"io/fs"
	"net/http"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/tracking"
)

// trackingParams select a page of the message tracking log. All fields that are set
// must match.
type trackingParams struct {
	Sender    string    `param:"sender" doc:"The reverse-path. * matches any text."`
	Recipient string    `param:"recipient" doc:"Any recipient of the entry. * matches any text."`
	MessageID string    `param:"message-id" doc:"The Message-ID field, with or without angle brackets. * matches any text."`
	Subject   string    `param:"subject" doc:"The subject. * matches any text. Not for viewers if subjects are hidden."`
	Event     string    `param:"event" doc:"The name of the event, for example RECEIVE, SEND, FAIL or REJECT."`
	ID        string    `param:"id" doc:"The ID of the message in the queue, or of one that is related to it."`
	Since     time.Time `param:"since" doc:"At this time or later."`
	Until     time.Time `param:"until" doc:"At this time or earlier."`
	Cursor    string    `param:"cursor" doc:"The value of next of the page before."`
	Limit     int       `param:"limit" doc:"Rows of the page, at most 1000. Default 100."`
}

// trackingEvents are the names of all events.
var trackingEvents = func() (names []string) {
	for kind := queue.EventReceive; kind.String() != ""; kind++ {
		names = append(names, kind.String())
	}
	return names
}()

// trackingView is a page of the message tracking log.
type trackingView struct {
	Entries  []trackingRow `json:"entries" doc:"The newest first."`
	Next     string        `json:"next,omitempty" doc:"The value of the parameter cursor for the next page."`
	Complete bool          `json:"complete" doc:"False if there may be more entries. The page can be empty then, because a search reads a limited part of the log."`
	Examined int64         `json:"examined" doc:"How many bytes of the log were read for this page."`
	Damaged  int           `json:"damaged" doc:"How many lines could not be read."`
	Log      bool          `json:"log" doc:"False if the relay has no message tracking log."`

	Params trackingParams `json:"-"`
}

// trackingRow is one entry of the message tracking log. It has no account name.
type trackingRow struct {
	Time       time.Time         `json:"time"`
	Event      string            `json:"event"`
	Source     string            `json:"source,omitempty" doc:"The part of the relay: SMTP, ROUTING, DSN, AGENT, ADMIN, QUEUE."`
	ID         string            `json:"id,omitempty" doc:"The message in the queue. Empty for mail that was refused."`
	MessageID  string            `json:"messageId,omitempty" doc:"The field Message-ID of the header."`
	Sender     string            `json:"sender" doc:"Empty for the null reverse-path."`
	Recipients []string          `json:"recipients"`
	Reply      string            `json:"reply,omitempty"`
	Subject    string            `json:"subject,omitempty"`
	Size       string            `json:"size,omitempty" doc:"In bytes."`
	Client     string            `json:"client,omitempty" doc:"The IP address of the client."`
	Helo       string            `json:"helo,omitempty" doc:"The name of the client in HELO or EHLO."`
	Host       string            `json:"host,omitempty" doc:"The name of the host that got the mail."`
	Address    string            `json:"address,omitempty" doc:"The IP address of the host that got the mail."`
	Connector  string            `json:"connector,omitempty"`
	Reference  string            `json:"reference,omitempty" doc:"The ID of a report, a copy, or bad mail."`
	Related    string            `json:"related,omitempty" doc:"The address of a list that was expanded, or of a quarantine."`
	Text       string            `json:"text,omitempty" doc:"What decided, for example the name of an agent."`
	Info       string            `json:"info,omitempty" doc:"The column message-info: the number of the event, the priority, the next hop."`
	Labels     map[string]string `json:"labels,omitempty" doc:"Only for operators."`
}

// trackingRowOf returns the view of an entry.
func (x *call) trackingRowOf(e *tracking.Entry) trackingRow {
	c := e.Columns
	row := trackingRow{
		Time: e.Time, Event: e.Event, Source: c["source"], ID: e.ID, MessageID: e.MessageID, Sender: e.Sender,
		Recipients: append([]string{}, e.Recipients...), Reply: c["recipient-status"], Subject: c["message-subject"], Size: c["total-bytes"],
		Client: c["client-ip"], Host: c["server-hostname"], Address: c["server-ip"], Connector: c["connector-id"],
		Reference: c["reference"], Related: c["related-recipient-address"], Text: c["source-context"], Info: c["message-info"],
	}
	if row.Client != "" { // otherwise it is the name of this relay
		row.Helo = c["client-hostname"]
	}
	if x.hidesSubjects() {
		row.Subject = ""
	}
	if !x.viewer() {
		row.Labels = e.Labels
	}
	return row
}

// More is the number of recipients that are not in First.
func (r trackingRow) More() int { return max(0, len(r.Recipients)-rowRecipients) }

// First are the recipients that a list shows.
func (r trackingRow) First() []string { return r.Recipients[:min(len(r.Recipients), rowRecipients)] }

func showTracking(x *call, p trackingParams) (*trackingView, error) {
	limit, err := rows(p.Limit)
	if err != nil {
		return nil, err
	}
	if p.Subject != "" && x.hidesSubjects() {
		return nil, refuse(http.StatusForbidden, "Subjects are hidden from viewers.")
	}
	if !p.Until.IsZero() && p.Until.Before(p.Since) {
		return nil, wrongParameter("until", "it is before since")
	}
	v := &trackingView{Entries: []trackingRow{}, Complete: true, Params: p}
	log := x.console.Gateway.Tracking
	if log == nil {
		return v, nil
	}
	v.Log = true
	f := tracking.Filter{
		Sender: p.Sender, Recipient: p.Recipient, MessageID: p.MessageID, ID: p.ID, Subject: p.Subject, Event: p.Event,
		Since: p.Since, Until: p.Until,
	}
	page, err := tracking.Find(x.ctx(), log.Dir, f, tracking.Options{Limit: limit, Cursor: p.Cursor})
	switch {
	case errors.Is(err, fs.ErrNotExist): // the log creates its folder for the first event
		return v, nil
	case err != nil && p.Cursor != "" && x.ctx().Err() == nil:
		p := wrongParameter("cursor", "the log cannot be read from there")
		if !x.viewer() { // the error may have the name of a file
			p.Detail += ": " + err.Error()
		}
		return nil, p
	case err != nil:
		return nil, err
	}
	v.Complete, v.Next, v.Examined, v.Damaged = page.Complete, page.Cursor, page.Examined, page.Damaged
	for _, e := range page.Entries {
		v.Entries = append(v.Entries, x.trackingRowOf(e))
	}
	return v, nil
}
