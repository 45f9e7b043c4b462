package tracking

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/protolog"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// The columns, in their order.
var columns = [...]string{
	"date-time", "client-ip", "client-hostname", "server-ip", "server-hostname", "source-context", "connector-id",
	"source", "event-id", "internal-message-id", "message-id", "recipient-address", "recipient-status", "total-bytes",
	"recipient-count", "related-recipient-address", "reference", "message-subject", "sender-address", "return-path",
	"message-info", "directionality",
}

const timeLayout = "2006-01-02T15:04:05.000Z"

// prefix of the files' names.
const prefix = "MSGTRK"

// A Log writes events to files in a folder: a new file each day and whenever
// one is full; old ones are removed. The fields must not change once Write
// was called.
type Log struct {
	Dir string
	// Hostname of this relay, for the columns of our side.
	Hostname string
	// NoSubject leaves the subject out.
	NoSubject bool

	MaxSize int64         // of one file. Default 10 MB (Exchange)
	MaxAge  time.Duration // of a file before it is removed. Default 30 days (Exchange)
	MaxDir  int64         // of all files together. Default 250 MB (Exchange)
}

// Write writes the events of a subscription until that is closed, or a file
// cannot be written; it closes the subscription then and returns the error.
// Where events were dropped, because the disk was slower than they came, a
// line that begins with '#' says how many.
func (l *Log) Write(events *queue.Subscription) error {
	defer events.Close()
	files := &protolog.Files{
		Dir: l.Dir, Prefix: prefix, MaxSize: l.MaxSize, MaxAge: l.MaxAge, MaxDir: l.MaxDir,
		Header: "#Software: Bridgehead\n#Version: 1.0\n#Log-type: Message Tracking Log\n#Fields: " + strings.Join(columns[:], ",") + "\n",
	}
	defer files.Close()
	var b bytes.Buffer
	var dropped uint64
	for e := range events.C {
		b.Reset()
		if n := events.Dropped(); n > dropped {
			fmt.Fprintf(&b, "#Dropped: %d events before %s\n", n-dropped, e.Time.UTC().Format(timeLayout))
			dropped = n
		}
		l.append(&b, &e)
		// What has come meanwhile goes into the same write.
		for more := true; more && b.Len() < 32<<10; {
			select {
			case e, more = <-events.C:
				if more {
					l.append(&b, &e)
				}
			default:
				more = false
			}
		}
		if _, err := files.Write(b.Bytes()); err != nil {
			return fmt.Errorf("tracking: %w", err)
		}
	}
	return nil
}

// append writes one event as a line.
func (l *Log) append(b *bytes.Buffer, e *queue.Event) {
	var to, status []string
	for _, r := range e.Recipients {
		to = append(to, r.Addr)
		status = append(status, r.Reply)
	}
	rec := record{
		"date-time":                 e.Time.UTC().Format(timeLayout),
		"source":                    source(e),
		"event-id":                  e.Kind.String(),
		"internal-message-id":       e.ID,
		"message-id":                e.MessageID,
		"recipient-address":         strings.Join(to, ";"),
		"recipient-status":          strings.Trim(strings.Join(status, ";"), ";"),
		"related-recipient-address": e.Related,
		"reference":                 e.Reference,
		"source-context":            e.Text,
		"message-info":              info(e),
	}
	if e.ID != "" {
		rec["total-bytes"] = strconv.FormatInt(e.Size, 10)
		rec["recipient-count"] = strconv.Itoa(len(e.Recipients))
		rec["sender-address"] = e.From
		rec["return-path"] = "<" + e.From + ">"
		rec["directionality"] = "Incoming"
		if e.Origin.Identity != "" || e.System {
			rec["directionality"] = "Originating"
		}
		if !l.NoSubject {
			rec["message-subject"] = e.Subject
		}
	}
	if e.Kind == queue.EventReceive {
		rec["client-ip"], rec["client-hostname"] = e.Origin.ClientAddr, e.Origin.ClientHelo
		rec["server-hostname"], rec["connector-id"] = l.Hostname, e.Origin.Connector
	} else {
		rec["client-hostname"] = l.Hostname
		rec["server-ip"], rec["server-hostname"], rec["connector-id"] = e.Addr, e.Host, e.Hop.Connector
	}
	line := make([]string, len(columns))
	for i, c := range columns {
		line[i] = oneLine(rec[c])
	}
	w := csv.NewWriter(b)
	w.Write(line) // to memory: it cannot fail
	w.Flush()
}

// record is a line by its columns.
type record map[string]string

// source is the part of the relay that the event comes from.
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
	case queue.EventSend, queue.EventDefer, queue.EventFail, queue.EventThrottle:
		if e.Host != "" {
			return "SMTP"
		}
		return "ROUTING"
	case queue.EventDSN, queue.EventBadMail, queue.EventSuppressed:
		return "DSN"
	case queue.EventRedirect, queue.EventResubmit, queue.EventOperation:
		return "ADMIN"
	}
	return "QUEUE"
}

// info has what no column of its own has.
func info(e *queue.Event) string {
	var s []string
	if n := e.Number(); n > 0 {
		s = append(s, "event="+strconv.Itoa(n))
	}
	if e.Hop.Destination != "" {
		s = append(s, "queue="+e.Hop.Destination)
	}
	if e.TLS != "" {
		s = append(s, "tls="+e.TLS)
	}
	if e.Took > 0 {
		s = append(s, "took="+e.Took.Round(time.Millisecond).String())
	}
	if e.Kind != queue.EventReceive && !e.Received.IsZero() {
		s = append(s, "received="+e.Received.UTC().Format(timeLayout))
	}
	return strings.Join(s, "; ")
}

// maxField bounds a column, in bytes.
const maxField = 8 << 10

// oneLine keeps a line of the log on one line.
func oneLine(s string) string {
	if len(s) > maxField {
		s = strings.ToValidUTF8(s[:maxField], "")
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, s)
}
