package tracking

import (
	"cmp"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/logfile"
	"github.com/bridgehead-mail/bridgehead/internal/protolog"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// The columns, in the order of the file.
const (
	dateTime = iota
	clientIP
	clientHostname
	serverIP
	serverHostname
	sourceContext
	connectorID
	eventSource
	eventID
	internalMessageID
	messageID
	recipientAddress
	recipientStatus
	totalBytes
	recipientCount
	relatedRecipientAddress
	reference
	messageSubject
	senderAddress
	returnPath
	messageInfo
	directionality
	customData
)

// columns has the names of the columns.
var columns = [...]string{
	"date-time", "client-ip", "client-hostname", "server-ip", "server-hostname", "source-context", "connector-id",
	"source", "event-id", "internal-message-id", "message-id", "recipient-address", "recipient-status", "total-bytes",
	"recipient-count", "related-recipient-address", "reference", "message-subject", "sender-address", "return-path",
	"message-info", "directionality", "custom-data",
}

// A record has the columns of one line.
type record [len(columns)]string

// oneLine replaces line endings, for replies of several lines.
var oneLine = strings.NewReplacer("\r", " ", "\n", " ")

// record returns the columns for an event.
func (l *Log) record(e *queue.Event) record {
	to, status := make([]string, 0, 8), make([]string, 0, 8)
	for i := range e.Recipients {
		if e.Recipients[i].Addr != "" { // a refused session has a reply and no recipient
			to = append(to, e.Recipients[i].Addr)
		}
		status = append(status, oneLine.Replace(e.Recipients[i].Reply))
	}
	r := record{
		dateTime:                protolog.FormatTime(e.Time),
		eventSource:             source(e),
		eventID:                 e.Kind.String(),
		internalMessageID:       e.ID,
		messageID:               e.MessageID,
		recipientAddress:        strings.Join(to, ";"),
		recipientStatus:         strings.Trim(strings.Join(status, ";"), ";"),
		relatedRecipientAddress: e.Related,
		reference:               e.Reference,
		sourceContext:           e.Text,
		messageInfo:             info(e),
		customData:              custom(e),
	}
	if e.ID == "" && e.From != "" { // refused at MAIL
		r[senderAddress], r[returnPath] = e.From, e.From
	}
	if e.ID != "" {
		r[totalBytes] = strconv.FormatInt(e.Size, 10)
		r[recipientCount] = strconv.Itoa(len(to))
		r[senderAddress] = e.From
		r[returnPath] = cmp.Or(e.From, "<>")
		r[directionality] = "Incoming"
		if e.Origin.Internal || e.Origin.Identity != "" || e.System {
			r[directionality] = "Originating"
		}
		if !l.NoSubject {
			r[messageSubject] = e.Subject
		}
	}
	switch e.Kind {
	case queue.EventReceive, queue.EventReject, queue.EventDrop, queue.EventQuarantine:
		r[clientIP], r[clientHostname] = e.Origin.ClientAddr, e.Origin.ClientHelo
		r[serverIP], r[serverHostname], r[connectorID] = e.Origin.ServerAddr, l.Hostname, e.Origin.Connector
	default:
		r[clientHostname] = l.Hostname
		r[serverIP], r[serverHostname], r[connectorID] = withoutPort(e.Addr), e.Host, e.Hop.Connector
	}
	return r
}

// withoutPort returns the IP address in a Result.Addr. What is no address, for example
// the path of a socket, it returns as it is.
func withoutPort(addr string) string {
	if a, err := netip.ParseAddrPort(addr); err == nil {
		return a.Addr().String()
	}
	return addr
}

// source returns the part of the relay that the event comes from.
func source(e *queue.Event) string {
	switch e.Kind {
	case queue.EventReceive:
		if e.System {
			return "DSN"
		}
		if e.Origin.Protocol != "" {
			return "SMTP"
		}
		return strings.ToUpper(e.Origin.Connector)
	case queue.EventReject, queue.EventTransfer:
		return "SMTP"
	case queue.EventDrop, queue.EventQuarantine:
		return "AGENT"
	case queue.EventSend, queue.EventDefer, queue.EventFail, queue.EventThrottle:
		if e.Host != "" {
			return "SMTP"
		}
		return "ROUTING"
	case queue.EventDSN, queue.EventBadMail, queue.EventBadMailRemoved, queue.EventSuppressed:
		return "DSN"
	case queue.EventRedirect, queue.EventResubmit, queue.EventOperation:
		return "ADMIN"
	}
	return "QUEUE"
}

// info returns the column message-info: the details that have no other column.
func info(e *queue.Event) string {
	var room [128]byte
	b := room[:0]
	add := func(key, value string) {
		if len(b) > 0 {
			b = append(b, "; "...)
		}
		b = append(append(append(b, key...), '='), value...)
	}
	if n := e.Number(); n > 0 {
		add("event", strconv.Itoa(n))
	}
	if e.Count > 1 {
		add("count", strconv.Itoa(e.Count))
	}
	if e.Priority != 0 {
		add("priority", strconv.Itoa(e.Priority))
	}
	if e.Hop.Destination != "" {
		add("queue", e.Hop.Destination)
	}
	if e.TLS != "" {
		add("tls", e.TLS)
	}
	if e.Took > 0 {
		add("took", e.Took.Round(time.Millisecond).String())
	}
	if e.Kind != queue.EventReceive && !e.Received.IsZero() {
		add("received", protolog.FormatTime(e.Received))
	}
	if e.Origin.Identity != "" { // without the account: readers of the log may not know it
		add("login", "yes")
	}
	return string(b)
}

// custom returns the column custom-data: the priority as in Exchange 2013, if it is
// not normal, and the labels.
func custom(e *queue.Event) string {
	labels := formatLabels(e.Labels)
	switch {
	case e.Priority == 0:
		return labels
	case labels != "":
		labels = "; " + labels
	}
	if e.Priority > 0 {
		return priorityData + "=High" + labels
	}
	return priorityData + "=Low" + labels
}

// priorityData is the key of the priority in the column custom-data. No label has
// this key, because a key of a label has no colon.
const priorityData = "S:DeliveryPriority"

// append adds the record as a line of comma-separated values to b.
func (r *record) append(b []byte) []byte {
	for i, field := range r {
		if i > 0 {
			b = append(b, ',')
		}
		b = logfile.AppendCell(b, field, maxField)
	}
	return append(b, '\n')
}

// maxField is the maximum number of bytes of a column.
const maxField = 8 << 10
