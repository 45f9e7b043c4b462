// Package protolog writes protocol logs in the format of Exchange: one line of
// comma-separated values for each command, reply and other event of an SMTP
// session. smtpserver and smtpclient use it.
package protolog

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/logfile"
	"github.com/bridgehead-mail/bridgehead/internal/settings"
	"github.com/bridgehead-mail/bridgehead/internal/site"
)

// Event is one line of a protocol log.
type Event struct {
	Time      time.Time
	Connector string // name of the connector
	Session   string // ID of the session
	Sequence  int    // number of the event in the session, from 0
	Local     string // address and port at this end
	Remote    string // address and port of the other end
	// Kind is one of
	//
	//	+  connected
	//	-  disconnected
	//	>  sent
	//	<  received
	//	*  information
	Kind byte
	// Data is the line that was sent or received. It must not contain
	// credentials or message content; the caller makes sure of that.
	Data string
	// Context describes the event.
	Context string
}

// Fields contains the names of the columns.
const Fields = "date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context"

// Header returns the first lines of a file that begins at t. kind is "SMTP Receive
// Protocol Log" or "SMTP Send Protocol Log". The lines are those of Exchange: its
// tools skip them by their number.
func Header(kind string, t time.Time) string {
	return "#Software: Bridgehead\n#Version: 1.0\n#Log-type: " + kind + "\n#Date: " + FormatTime(t) + "\n#Fields: " + Fields + "\n"
}

// maxField is the length of the longest field, in bytes.
const maxField = 4096

// Append appends the event to b as one line.
func (e *Event) Append(b []byte) []byte {
	return e.appendAfter(AppendTime(b, e.Time))
}

// appendAfter appends the columns after the time, and the end of the line.
func (e *Event) appendAfter(b []byte) []byte {
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

// AppendTime appends t in UTC with milliseconds, as in
// 2026-11-21T12:00:00.000Z.
func AppendTime(b []byte, t time.Time) []byte {
	b = t.UTC().AppendFormat(b, time.RFC3339) // package time formats this layout fast
	return appendMilli(b[:len(b)-1], t)
}

// appendMilli appends the milliseconds of t, as in ".000Z".
func appendMilli(b []byte, t time.Time) []byte {
	ms := t.Nanosecond() / 1e6
	return append(b, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z')
}

// A second is the text of a second in the format of AppendTime, up to the
// seconds. A busy server logs many events in one second.
type second struct {
	at   int64 // in Unix time, if text is not empty
	text []byte
}

// appendTime is AppendTime.
func (s *second) appendTime(b []byte, t time.Time) []byte {
	if at := t.Unix(); at != s.at || len(s.text) == 0 {
		s.at, s.text = at, AppendTime(s.text[:0], t)
		s.text = s.text[:len(s.text)-len(".000Z")]
	}
	return appendMilli(append(b, s.text...), t)
}

// FormatTime returns t in the format of AppendTime.
func FormatTime(t time.Time) string {
	var room [32]byte
	return string(AppendTime(room[:0], t))
}

func appendField(b []byte, s string) []byte { return logfile.AppendCell(b, s, maxField) }

// A Writer writes events to an io.Writer. It is safe for concurrent use. It
// buffers lines for up to a second, so that a busy server does not make a
// system call for each line. Flush and Close write the buffered lines.
type Writer struct {
	// Logger gets a line when the log cannot be written, and another one when
	// it is written again, with the number of lines lost. If it is nil, nothing
	// is logged. It must not change after the first call of a method.
	Logger *slog.Logger

	mu    sync.Mutex // guards the following fields, Logger, and calls of w
	w     io.Writer
	buf   []byte
	timer *time.Timer
	armed bool
	lines int // in buf
	err   error
	loss  logfile.Loss
	last  second // of the last event

	format func(b []byte, e *Event) ([]byte, int) // appends lines, and returns their number; nil: one line in the format of Exchange
	remark string                                 // begins the line about lost lines
}

const (
	bufferBytes = 32 << 10
	bufferTime  = time.Second
)

// Files writes the log to files, see logfile.Files.
type Files = logfile.Files

// New returns a Writer for a protocol log of the given kind. If w is a *Files
// without HeaderAt or Prefix, New sets them.
func New(w io.Writer, kind, prefix string) *Writer {
	header := Header(kind, time.Now())
	if f, ok := w.(*Files); ok && f != nil {
		if f.HeaderAt == nil {
			f.HeaderAt = func(t time.Time) string { return Header(kind, t) }
		}
		f.Prefix = cmp.Or(f.Prefix, prefix)
		header = "" // Files writes it into each file
	}
	return NewWriter(w, header)
}

// NewWriter returns a Writer that writes header once, before the first event.
// If w is a *Files, header must be empty, because Files writes its own header
// to each file.
func NewWriter(w io.Writer, header string) *Writer {
	return &Writer{w: w, buf: []byte(header), loss: logfile.Loss{Log: "protocol log", Unit: "lines"}, remark: "#Dropped: "}
}

// Inherit sets Logger if it is not set. A gateway.Gateway calls it.
func (w *Writer) Inherit(d site.Defaults) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d.Fill(nil, &w.Logger)
}

// Validate returns an error if the log cannot be written: its io.Writer is nil,
// or is a *Files whose directory cannot be written. A gateway.Gateway calls it
// before it runs.
func (w *Writer) Validate() error {
	switch out := w.w.(type) {
	case nil:
		return errors.New("protolog: the log has no io.Writer")
	case *Files:
		if out == nil {
			return errors.New("protolog: the log has no io.Writer: *Files is nil")
		}
		return out.Validate()
	}
	return nil
}

// Log writes one event.
func (w *Writer) Log(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 1
	if w.format == nil {
		w.buf = e.appendAfter(w.last.appendTime(w.buf, e.Time))
	} else if w.buf, n = w.format(w.buf, &e); n == 0 {
		return
	}
	w.lines += n
	switch {
	case len(w.buf) >= bufferBytes:
		w.flush()
	case w.armed:
	case w.timer == nil:
		w.armed = true
		w.timer = time.AfterFunc(bufferTime, w.tick)
	default:
		w.armed = true
		w.timer.Reset(bufferTime)
	}
}

func (w *Writer) tick() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = false
	w.flush()
}

// flush writes the buffered lines. The caller has locked mu. Lines that cannot be
// written are lost, because the log must not stop mail.
func (w *Writer) flush() {
	if len(w.buf) == 0 {
		return
	}
	b := w.buf
	if dropped := w.loss.Dropped(); dropped != "" {
		b = append([]byte(w.remark+dropped+"\n"), b...)
	}
	err := w.write(b)
	w.loss.Written(w.lines, err, w.Logger)
	w.lines = 0
	w.err = cmp.Or(w.err, err)
	if w.buf = w.buf[:0]; cap(w.buf) > 4*bufferBytes {
		w.buf = nil
	}
}

// write writes b. Without an io.Writer it returns an error.
func (w *Writer) write(b []byte) error {
	if settings.IsNil(w.w) {
		return errors.New("protocol log: the io.Writer is nil")
	}
	_, err := w.w.Write(b)
	return err
}

// Flush writes the buffered lines. It returns the first write error since the
// last Flush; Log reports no errors.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flush()
	err := w.err
	w.err = nil
	return err
}

// Close calls Flush, and closes the io.Writer if it is an io.Closer. Lines that
// cannot be written are no error of Close: see Logger.
func (w *Writer) Close() (err error) {
	w.Flush()
	w.mu.Lock()
	if w.timer != nil {
		w.timer.Stop()
	}
	w.mu.Unlock()
	if c, ok := w.w.(io.Closer); ok && !settings.IsNil(c) {
		err = c.Close()
	}
	return err
}

// Slog writes events to a slog.Logger; a nil Logger is silent. The names of the columns are the keys.
type Slog struct {
	Logger *slog.Logger
	Level  slog.Level
}

// Log writes one event.
func (l Slog) Log(e Event) {
	if l.Logger == nil {
		return
	}
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
