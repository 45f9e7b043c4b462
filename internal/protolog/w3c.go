package protolog

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
)

// W3CFields are the columns of the W3C extended log file format, as the SMTP
// service of IIS 6 writes it.
const W3CFields = "date time c-ip cs-username s-sitename s-computername s-ip s-port cs-method cs-uri-stem cs-uri-query " +
	"sc-status sc-win32-status sc-bytes cs-bytes time-taken cs-version cs-host cs(User-Agent) cs(Cookie) cs(Referer)"

// w3cHeader returns the directives at the start of a file that begins at t.
func w3cHeader(t time.Time) string {
	return "#Software: Bridgehead\n#Version: 1.0\n#Date: " + t.UTC().Format(time.DateTime) + "\n#Fields: " + W3CFields + "\n"
}

// NewW3C returns a Writer in the W3C extended log file format. computer is
// s-computername; if it is empty, the name of the machine. With received, the
// events are those of a server. If w is a *Files without Header or Prefix, NewW3C
// sets them.
func NewW3C(w io.Writer, prefix, computer string, received bool) *Writer {
	if computer == "" {
		computer, _ = os.Hostname() // without a name the column is "-"
	}
	header := w3cHeader
	if f, ok := w.(*Files); ok && f != nil {
		if f.Header == "" {
			f.HeaderAt = w3cHeader
		}
		f.Prefix = cmp.Or(f.Prefix, prefix)
		header = func(time.Time) string { return "" }
	}
	out := NewWriter(w, header(time.Now()))
	out.remark = "#Remark: dropped " // "#Dropped" is not a directive of this format
	if received {
		out.format = (&w3cSessions{computer: computer, open: make(map[string]*w3cSession)}).append
	} else {
		out.format = func(b []byte, e *Event) ([]byte, int) { return appendW3CSent(b, e, computer) }
	}
	return out
}

// A w3cLine is one line of the log. Empty columns and numbers below 0 are "-".
type w3cLine struct {
	time                 time.Time
	client, user, site   string
	server, port         string
	method, query        string
	computer             string
	status               int
	sent, received, took int64 // sc-bytes, cs-bytes, and time-taken in milliseconds
}

func (l *w3cLine) append(b []byte) []byte {
	b = l.time.UTC().AppendFormat(b, time.DateTime)
	for _, column := range []string{l.client, l.user, l.site, l.computer, l.server, l.port, l.method, "", l.query} {
		b = appendW3C(append(b, ' '), column)
	}
	b = appendNumber(b, int64(l.status))
	b = append(b, " 0"...) // sc-win32-status
	for _, n := range []int64{l.sent, l.received, l.took} {
		b = appendNumber(b, n)
	}
	return append(b, " SMTP - - - -\n"...)
}

func appendNumber(b []byte, n int64) []byte {
	if n < 0 {
		return append(b, " -"...)
	}
	return strconv.AppendInt(append(b, ' '), n, 10)
}

// appendW3C appends one column. A space becomes "+", as IIS writes it. "+", "%"
// and all bytes that are not printable ASCII become %XX, so that the text can be
// decoded as the query of a URL. At most maxField bytes are kept.
func appendW3C(b []byte, s string) []byte {
	cut := len(s) > maxField
	switch {
	case s == "":
		return append(b, '-')
	case s == "-":
		return append(b, "%2D"...)
	case cut:
		s = s[:maxField]
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c == ' ':
			b = append(b, '+')
		case c == '+', c == '%', c < ' ', c > '~', c == '"':
			b = fmt.Appendf(b, "%%%02X", c)
		default:
			b = append(b, c)
		}
	}
	if cut {
		b = append(b, "..."...)
	}
	return b
}

// hostPort splits an endpoint. An endpoint without a port, as of a Unix socket, is
// a host.
func hostPort(endpoint string) (host, port string) {
	if a, err := netip.ParseAddrPort(endpoint); err == nil {
		return a.Addr().Unmap().String(), strconv.Itoa(int(a.Port()))
	}
	return endpoint, ""
}

// appendW3CSent appends an event of a client. As in IIS, each command and each
// line of a reply is one line, c-ip is the address of the other host, and the user
// says which of the two it is.
func appendW3CSent(b []byte, e *Event, computer string) ([]byte, int) {
	host, port := hostPort(e.Remote)
	l := w3cLine{time: e.Time, client: host, site: e.Connector, computer: computer, port: port, sent: -1, received: -1, took: -1}
	switch e.Kind {
	case '>':
		l.user = "OutboundConnectionCommand"
		l.method, l.query, _ = strings.Cut(e.Data, " ")
		l.status, l.sent = -1, int64(len(e.Data)+2)
	case '<':
		l.user, l.query = "OutboundConnectionResponse", e.Data
		l.status, l.received = statusOf(e.Data), int64(len(e.Data)+2)
	default:
		return b, 0
	}
	return l.append(b), 1
}

// statusOf returns the code of a reply line, or -1.
func statusOf(line string) int {
	n, err := strconv.Atoi(line[:min(3, len(line))])
	if err != nil || n < 100 {
		return -1
	}
	return n
}

// maxW3CSessions limits how many sessions are remembered. Each open session is
// one, so the limit of connections is reached first.
const maxW3CSessions = 100_000

// w3cSessions joins the events of a server: each command and its reply are one
// line. The Writer locks it.
type w3cSessions struct {
	computer string
	open     map[string]*w3cSession
}

// A w3cSession is what is known of an open session.
type w3cSession struct {
	helo    string
	pending bool // a command waits for its reply
	goesOn  bool // it got an intermediate reply (3xx)
	command Event
	in, out int64 // bytes of the command and of its reply so far
}

// append appends the lines of an event, and returns their number.
func (w *w3cSessions) append(b []byte, e *Event) ([]byte, int) {
	s := w.open[e.Session]
	if s == nil {
		if len(w.open) >= maxW3CSessions {
			for id := range w.open {
				delete(w.open, id)
				break
			}
		}
		s = new(w3cSession)
		w.open[e.Session] = s
	}
	switch e.Kind {
	case '<':
		return w.command(b, s, e)
	case '>':
		return w.reply(b, s, e)
	case '*':
		s.in += contentSize(e.Context)
	case '-':
		delete(w.open, e.Session)
		if s.pending {
			return w.line(b, s, e.Time, -1), 1
		}
	}
	return b, 0
}

// command begins a command. A command without a reply is written first; a
// response within a command, as in AUTH, belongs to it.
func (w *w3cSessions) command(b []byte, s *w3cSession, e *Event) (_ []byte, lines int) {
	size := int64(len(e.Data) + 2)
	if s.pending && s.goesOn {
		s.in += size
		return b, 0
	}
	if s.pending {
		b, lines = w.line(b, s, e.Time, -1), 1
	}
	s.pending, s.goesOn, s.command, s.in, s.out = true, false, *e, size, 0
	if verb, name, _ := strings.Cut(e.Data, " "); verb == "HELO" || verb == "EHLO" || verb == "LHLO" {
		s.helo = name
	}
	return b, lines
}

// reply adds a line of a reply. The last line of a final reply completes the
// command. A refusal without a command, as in place of the banner, is a line of
// its own.
func (w *w3cSessions) reply(b []byte, s *w3cSession, e *Event) ([]byte, int) {
	code := statusOf(e.Data)
	s.out += int64(len(e.Data) + 2)
	last := len(e.Data) < 4 || e.Data[3] != '-'
	switch {
	case !last:
		return b, 0
	case code >= 300 && code < 400:
		s.goesOn = s.pending
		return b, 0
	case !s.pending && code < 400:
		s.out = 0
		return b, 0
	case !s.pending:
		s.command = Event{Time: e.Time, Connector: e.Connector, Local: e.Local, Remote: e.Remote}
	}
	return w.line(b, s, e.Time, code), 1
}

// line writes the command, and forgets it.
func (w *w3cSessions) line(b []byte, s *w3cSession, at time.Time, status int) []byte {
	c := &s.command
	l := w3cLine{time: at, user: s.helo, site: c.Connector, computer: w.computer, status: status,
		sent: s.out, received: s.in, took: max(0, at.Sub(c.Time).Milliseconds())}
	l.client, _ = hostPort(c.Remote)
	l.server, l.port = hostPort(c.Local)
	l.method, l.query = c.Data, ""
	if i := strings.IndexByte(c.Data, ' '); i >= 0 {
		l.method, l.query = c.Data[:i], c.Data[i:] // with the space, as IIS: "+FROM:<...>"
	}
	helo := s.helo
	*s = w3cSession{helo: helo}
	return l.append(b)
}

// contentSize returns the size in the event "1234 bytes of message ID".
func contentSize(context string) int64 {
	digits, rest, _ := strings.Cut(context, " ")
	if !strings.HasPrefix(rest, "bytes of message ") {
		return 0
	}
	n, _ := strconv.ParseInt(digits, 10, 64)
	return n
}
