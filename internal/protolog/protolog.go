// Package protolog writes protocol logs in the form that Exchange has made
// familiar: one line of comma-separated values for each thing that was said
// in an SMTP session. The receive and the send engine share it.
package protolog

import (
	"context"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/logfile"
)

// Event is one line of a protocol log.
type Event struct {
	Time      time.Time
	Connector string // the connector's name
	Session   string // the session's ID
	Sequence  int    // counts the session's events, from 0
	Local     string // address and port at this end
	Remote    string // address and port at the other
	// Kind is one of
	//
	//	+  connected
	//	-  disconnected
	//	>  sent
	//	<  received
	//	*  information
	Kind byte
	// Data is the line that was sent or received. It never has credentials
	// or a message's content: whoever makes the event sees to that.
	Data string
	// Context explains it.
	Context string
}

// Fields names the columns.
const Fields = "date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context"

// Header is what each file begins with; kind is "SMTP Receive Protocol Log" or
// "SMTP Send Protocol Log".
func Header(kind string) string {
	return "#Software: Bridgehead\n#Version: 1.0\n#Log-type: " + kind + "\n#Fields: " + Fields + "\n"
}

// maxField bounds one field, in bytes.
const maxField = 4096

// Append adds the event as one line to b.
func (e *Event) Append(b []byte) []byte {
	b = AppendTime(b, e.Time)
	b = appendField(append(b, ','), e.Connector)
	b = appendField(append(b, ','), e.Session)
	b = strconv.AppendInt(append(b, ','), int64(e.Sequence), 10)
	b = appendField(append(b, ','), e.Local)
	b = appendField(append(b, ','), e.Remote)
	b = append(b, ',', e.Kind)
	b = appendField(append(b, ','), e.Data)
	b = appendField(append(b, ','), e.Context)
	return append(b, '\n')
}

// AppendTime adds t in UTC and to the millisecond, as in
// 2026-11-21T12:00:00.000Z.
func AppendTime(b []byte, t time.Time) []byte {
	b = t.UTC().AppendFormat(b, time.RFC3339) // a layout that package time need not interpret
	ms := t.Nanosecond() / 1e6
	return append(b[:len(b)-1], '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z')
}

// FormatTime is t as AppendTime adds it.
func FormatTime(t time.Time) string {
	var room [32]byte
	return string(AppendTime(room[:0], t))
}

func appendField(b []byte, s string) []byte { return logfile.AppendCell(b, s, maxField) }

// Writer writes events to an io.Writer. It is safe for concurrent use. Lines
// are gathered for up to a second, so that a busy server does not make a
// system call for each; Flush and Close write what is there.
type Writer struct {
	mu    sync.Mutex // guards what follows, and calls of w
	w     io.Writer
	buf   []byte
	timer *time.Timer
	armed bool
	err   error
}

const (
	gatherBytes = 32 << 10
	gatherTime  = time.Second
)

// Files spreads the log over files.
type Files = logfile.Files

// NewWriter makes a Writer. Where w is a *Files, that writes the header of
// each file; otherwise header is written once, before the first event.
func NewWriter(w io.Writer, header string) *Writer {
	return &Writer{w: w, buf: []byte(header)}
}

// Log writes one event.
func (w *Writer) Log(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = e.Append(w.buf)
	switch {
	case len(w.buf) >= gatherBytes:
		w.flush()
	case w.armed:
	case w.timer == nil:
		w.armed = true
		w.timer = time.AfterFunc(gatherTime, w.tick)
	default:
		w.armed = true
		w.timer.Reset(gatherTime)
	}
}

func (w *Writer) tick() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = false
	w.flush()
}

// flush is called with mu held. What cannot be written is lost: the log must
// not stop the mail.
func (w *Writer) flush() {
	if len(w.buf) == 0 {
		return
	}
	if _, err := w.w.Write(w.buf); err != nil && w.err == nil {
		w.err = err
	}
	if w.buf = w.buf[:0]; cap(w.buf) > 4*gatherBytes {
		w.buf = nil
	}
}

// Flush writes what was gathered. It returns the first error since the last
// Flush; a log that cannot be written is otherwise silent.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flush()
	err := w.err
	w.err = nil
	return err
}

// Close flushes, and closes the io.Writer if it is an io.Closer.
func (w *Writer) Close() error {
	err := w.Flush()
	w.mu.Lock()
	if w.timer != nil {
		w.timer.Stop()
	}
	w.mu.Unlock()
	if c, ok := w.w.(io.Closer); ok {
		if cerr := c.Close(); err == nil {
			err = cerr
		}
	}
	return err
}

// Slog writes events to a slog.Logger, with the columns' names as keys.
type Slog struct {
	Logger *slog.Logger
	Level  slog.Level
}

// Log writes one event.
func (l Slog) Log(e Event) {
	ctx := context.Background()
	if !l.Logger.Enabled(ctx, l.Level) {
		return
	}
	l.Logger.LogAttrs(ctx, l.Level, "protocol",
		slog.String("connector-id", e.Connector), slog.String("session-id", e.Session),
		slog.Int("sequence-number", e.Sequence), slog.String("local-endpoint", e.Local),
		slog.String("remote-endpoint", e.Remote), slog.String("event", string(rune(e.Kind))),
		slog.String("data", e.Data), slog.String("context", e.Context))
}
