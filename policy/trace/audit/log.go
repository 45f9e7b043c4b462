package audit

import (
	"cmp"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/logfile"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Files writes a log to files in a directory, as smtpserver.ProtocolLogFiles does.
// It has the same fields.
type Files = logfile.Files

// A Log writes trails as text to an io.Writer. Its method Add is a Sink:
//
//	trails := audit.NewLog(&audit.Files{Dir: "/var/log/relay"})
//	a := &audit.Audit{Sink: trails.Add}
//
// Each trail begins with the time, and is written at once. A trail that cannot be
// written, for example because the disk is full, is lost, and mail continues. The
// next trail that is written comes after a line that begins with "#Dropped:" and has
// the number of lost ones. A Log is safe for concurrent use.
type Log struct {
	// Logger gets an error when trails cannot be written, and a line when they
	// are written again. If it is nil, nothing is logged. A gateway.Gateway
	// whose Closers have the Log sets it. It must not change after the first
	// call of Add.
	Logger *slog.Logger

	mu   sync.Mutex // guards the following fields, and calls of w
	w    io.Writer
	loss logfile.Loss
}

// NewLog returns a Log that writes to w. If w is a *Files without a Prefix, the
// Prefix is AUDIT.
func NewLog(w io.Writer) *Log {
	if f, ok := w.(*Files); ok {
		f.Prefix = cmp.Or(f.Prefix, "AUDIT")
	}
	return &Log{w: w, loss: logfile.Loss{Log: "audit log", Unit: "trails"}}
}

// Inherit sets Logger if it is not set. A gateway.Gateway calls it.
func (l *Log) Inherit(d smtpserver.Defaults) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d.Fill(nil, &l.Logger)
}

// Add writes a trail.
func (l *Log) Add(t *Trail) {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := time.Now().UTC().Format("2006-01-02T15:04:05.000Z ") + t.String()
	if dropped := l.loss.Dropped(); dropped != "" {
		text = "#Dropped: " + dropped + "\n" + text
	}
	_, err := io.WriteString(l.w, text)
	l.loss.Written(1, err, l.Logger)
}

// Close closes the io.Writer if it is an io.Closer. A Sink must not call Add after
// Close.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c, ok := l.w.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
