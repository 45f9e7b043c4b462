package console

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
)

const (
	pageRows    = 100  // rows of a page, unless the client wants another number
	maxPageRows = 1000 // (Exchange)
)

// queuesParams select and sort next hops.
type queuesParams struct {
	Status      queue.QueueStatus `param:"status" doc:"Only next hops with this status: ready, active, retry, connecting, suspended, scheduled or aside."`
	Connector   string            `param:"connector" doc:"Only next hops of this send connector. * matches any text."`
	Destination string            `param:"destination" doc:"Only next hops with this destination. * matches any text."`
	Sort        string            `param:"sort" doc:"The order: name (default), messages, oldest, bytes or deliveries. All but name begin with the largest."`
	After       string            `param:"after" doc:"The key of the last next hop of the page before."`
	Limit       int               `param:"limit" doc:"Rows of the page, at most 1000. Default 100."`
}

// queuesView is a page of next hops.
type queuesView struct {
	Queues []queueView `json:"queues"`
	Total  int         `json:"total" doc:"The number of next hops that the filter selects."`
	Next   string      `json:"next,omitempty" doc:"The value of the parameter after for the next page."`

	Filter queuesParams `json:"-"`
}

// queueView is one next hop.
type queueView struct {
	Key         string    `json:"key" doc:"Identifies the next hop in the parameter queue."`
	Connector   string    `json:"connector"`
	Destination string    `json:"destination"`
	Status      string    `json:"status"`
	Messages    int       `json:"messages" doc:"Messages in the store for this next hop."`
	Bytes       int64     `json:"bytes"`
	Deferred    int       `json:"deferred" doc:"Messages that have had an attempt and wait for another."`
	InMemory    int       `json:"inMemory" doc:"Parts of active messages."`
	In          float64   `json:"inPerMinute" doc:"Messages that were routed to the next hop in the last minute."`
	Out         float64   `json:"outPerMinute" doc:"Messages that were delivered or failed there in the last minute."`
	Velocity    float64   `json:"velocity" doc:"Out minus in, per minute. A negative number means that the queue grows."`
	Deliveries  int       `json:"deliveries" doc:"Deliveries in progress."`
	Concurrency int       `json:"concurrency" doc:"The maximum number of deliveries that the queue allows now. It adapts to the next hop."`
	Maximum     int       `json:"maxConcurrency" doc:"The maximum number of deliveries by the settings."`
	Oldest      time.Time `json:"oldest,omitzero" doc:"When the oldest message was received."`
	LastError   string    `json:"lastError,omitempty" doc:"The reply or the error of the last attempt that made recipients wait."`
	LastErrorAt time.Time `json:"lastErrorAt,omitzero"`
	LastAttempt time.Time `json:"lastAttempt,omitzero"`
	LastSuccess time.Time `json:"lastSuccess,omitzero" doc:"The last attempt that has delivered mail."`
	NextRetry   time.Time `json:"nextRetry,omitzero"`

	RecipientsDelivered uint64    `json:"recipientsDelivered" doc:"Since the time in since."`
	RecipientsDeferred  uint64    `json:"recipientsDeferred" doc:"Since the time in since."`
	RecipientsFailed    uint64    `json:"recipientsFailed" doc:"Since the time in since."`
	Attempts            uint64    `json:"attempts" doc:"Since the time in since."`
	Since               time.Time `json:"since,omitzero"`

	Limit      *limitView      `json:"limit,omitempty" doc:"The limit because of which the mail waits now."`
	Suspension *suspensionView `json:"suspension,omitempty" doc:"What suspends the next hop."`
}

// viewOfQueue returns the view of a next hop.
func viewOfQueue(i queue.QueueInfo) queueView {
	v := queueView{
		Key: keyOf(i.Hop), Connector: i.Hop.Connector, Destination: i.Hop.Destination, Status: i.Status.String(),
		Messages: i.Stored, Bytes: i.Bytes, Deferred: i.Deferred, InMemory: i.InMemory, In: i.In, Out: i.Out, Velocity: i.Velocity(),
		Deliveries: i.Deliveries, Concurrency: i.Concurrency, Maximum: i.MaxConcurrency,
		Oldest: i.Oldest, LastErrorAt: i.LastErrorAt, LastAttempt: i.LastAttempt, LastSuccess: i.LastSuccess, NextRetry: i.NextRetry,
		RecipientsDelivered: i.Counts.Delivered, RecipientsDeferred: i.Counts.Deferred, RecipientsFailed: i.Counts.Failed, Attempts: i.Counts.Attempts, Since: i.Since,
		Limit: viewOfLimit(i.Limit),
	}
	if !i.LastErrorAt.IsZero() {
		v.LastError = replyText(i.LastError)
	}
	if i.Suspension != nil {
		s := viewOfSuspension(*i.Suspension)
		v.Suspension = &s
	}
	return v
}

// limitView is a limit because of which mail waits.
type limitView struct {
	Kind  string    `json:"kind" doc:"A short name, for example concurrency, rate, suspended, schedule or retry."`
	Text  string    `json:"text" doc:"The limit with its value."`
	Until time.Time `json:"until,omitzero" doc:"When it ends, if that is known."`
}

// viewOfLimit returns the view of a limit, or nil if the mail waits for no limit.
func viewOfLimit(l queue.Limit) *limitView {
	if l.Kind == queue.LimitNone {
		return nil
	}
	return &limitView{l.Kind.String(), l.Text, l.Until}
}

// Name returns the destination, or what the messages without one wait for.
func (v queueView) Name() string {
	return cmp.Or(v.Destination, "(several or not routed)")
}

// IsHop reports whether it is a next hop: the actions on queues apply to it.
func (v queueView) IsHop() bool { return v.Destination != "" && v.Status != queue.QueueAside.String() }

// keyOf returns the key of a next hop: both parts are escaped as in a query, so
// the colon between them is the only one.
func keyOf(hop queue.NextHop) string {
	return url.QueryEscape(hop.Connector) + ":" + url.QueryEscape(hop.Destination)
}

// hopOf returns the next hop of a key.
func hopOf(key string) (queue.NextHop, error) {
	connector, destination, has := strings.Cut(key, ":")
	c, err := url.QueryUnescape(connector)
	d, err2 := url.QueryUnescape(destination)
	if !has || err != nil || err2 != nil {
		return queue.NextHop{}, wrongParameter("queue", "it is not the key of a next hop")
	}
	return queue.NextHop{Connector: c, Destination: d}, nil
}

// replyText returns the reply of a host, with its name, or the local error.
func replyText(r queue.Result) string {
	e := r.Reply.EnhancedCode
	text := fmt.Sprintf("%d %d.%d.%d %s", r.Reply.Code, e[0], e[1], e[2], r.Reply.Message)
	switch {
	case r.Reply.Code == 0 && r.Err != nil:
		text = r.Err.Error()
	case r.Reply.Code == 0:
		return ""
	}
	if r.Host != "" {
		text = r.Host + ": " + text
	}
	return text
}

// queueOrderNames and queueStatuses are the choices of the filter.
var (
	queueOrderNames = []string{"name", "messages", "oldest", "bytes", "deliveries"}
	queueStatuses   = []string{"ready", "active", "retry", "connecting", "suspended", "scheduled", "aside"}
)

var queueOrders = map[string]queue.QueueOrder{
	"": queue.ByName, "name": queue.ByName, "messages": queue.ByMessages, "bytes": queue.ByBytes, "deliveries": queue.ByDeliveries, "oldest": queue.ByOldest,
}

func showQueues(x *call, p queuesParams) (*queuesView, error) {
	order, known := queueOrders[p.Sort]
	if !known {
		return nil, wrongParameter("sort", fmt.Sprintf("%q is not name, messages, oldest, bytes or deliveries", p.Sort))
	}
	limit, err := rows(p.Limit)
	if err != nil {
		return nil, err
	}
	query := queue.QueueQuery{Connector: p.Connector, Destination: p.Destination, Status: p.Status, Order: order, Limit: limit + 1}
	if p.After != "" {
		after, err := hopOf(p.After)
		if err != nil {
			return nil, err
		}
		query.After = &after
	}
	page, total, err := x.console.Gateway.Queue.QueuePage(x.ctx(), query)
	if err != nil {
		return nil, err
	}
	v := &queuesView{Queues: []queueView{}, Total: total, Filter: p}
	for _, i := range page[:min(len(page), limit)] {
		v.Queues = append(v.Queues, viewOfQueue(i))
	}
	if len(page) > limit {
		v.Next = v.Queues[limit-1].Key
	}
	return v, nil
}

// rows returns the number of rows of a page.
func rows(limit int) (int, error) {
	switch {
	case limit == 0:
		return pageRows, nil
	case limit < 0 || limit > maxPageRows:
		return 0, wrongParameter("limit", fmt.Sprintf("%d is not 1 to %d", limit, maxPageRows))
	}
	return limit, nil
}

// oneParams select one next hop.
type oneParams struct {
	ID string `param:"id" doc:"The key of the next hop."`
}

func showQueue(x *call, p oneParams) (*queueView, error) {
	hop, err := hopOf(p.ID)
	if err != nil {
		return nil, err
	}
	page, _, err := x.console.Gateway.Queue.QueuePage(x.ctx(), queue.QueueQuery{Hop: &hop})
	if err != nil {
		return nil, err
	}
	if len(page) == 1 {
		v := viewOfQueue(page[0])
		return &v, nil
	}
	return nil, refuse(http.StatusNotFound, "This next hop has no mail and no state.")
}
