package tracking

import (
	"cmp"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/logfile"
	"github.com/bridgehead-mail/bridgehead/internal/protolog"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// prefix of the files' names.
const prefix = "MSGTRK"

// A Log writes events to files in a folder. It begins a new file each day and
// when the current one is full, and removes old files. The fields must not change
// after Write was called.
type Log struct {
	// Dir is the path of the folder. Write creates it if it does not exist.
	Dir string
	// Hostname is the name of this relay, for the columns client-hostname and
	// server-hostname. Default: that of the gateway.Gateway. If there is none,
	// the columns do not have the name.
	Hostname string
	// NoSubject leaves the column message-subject empty.
	NoSubject bool
	// NoTransfer omits the events BEGINTRANSFER, which are about a third of the
	// lines. They show which host may have a message if the relay was killed during
	// the transfer.
	NoTransfer bool

	// MaxSize is the size in bytes at which a file is full. Default 10 MB
	// (Exchange).
	MaxSize int64
	// MaxAge is the age at which a file is removed. Default 30 days (Exchange).
	MaxAge time.Duration
	// MaxDir is the maximum total size in bytes of all files except the current
	// one. When they are larger, the oldest files are removed. Default 250 MB
	// (Exchange).
	MaxDir int64

	// Logger gets a line when the files cannot be written, and another one when
	// they can be written again. Default: that of the gateway.Gateway. If there
	// is none, nothing is logged.
	Logger *slog.Logger
}

// Lines are gathered for gatherTime or up to gatherBytes, so that a busy relay
// does not need a system call for each line. A crash can lose the events of the
// last gatherTime. A crash can also lose deliveries that the queue has recorded
// in the same time.
const (
	gatherTime  = 100 * time.Millisecond
	gatherBytes = 32 << 10
)

// Write writes the events of a subscription until the subscription is closed.
// Write writes the line of an event to the file at most 100 ms after the event.
// If the process dies, only events of the last 100 ms can be missing. When the
// subscription is closed, Write writes all events that are left and returns.
//
// While a file cannot be written, for example on a full disk, Write drops events
// and goes on. The subscription drops events if the disk is slower than the
// queue. In both cases a line that begins with "#Dropped:" has the number of
// missing events.
//
// Write returns an error only if its last write has failed. If several writes
// have failed since the last successful one, it returns the error of the first
// of them.
func (l *Log) Write(events *queue.Subscription) error {
	defer events.Close()
	files := &logfile.Files{
		Dir: l.Dir, Prefix: prefix, MaxSize: l.MaxSize, MaxAge: l.MaxAge, MaxDir: l.MaxDir,
		HeaderAt: header,
	}
	defer files.Close()
	g := gathering{log: l, events: events}
	for more := true; more; {
		more = g.gather()
		if len(g.lines) == 0 {
			continue
		}
		_, err := files.Write(g.lines)
		g.written(err)
	}
	if g.err != nil {
		return fmt.Errorf("tracking: %w", g.err)
	}
	return nil
}

// header returns the first lines of a file that begins at t. They are those of
// Exchange: its tools skip them by their number.
func header(t time.Time) string {
	return "#Software: Bridgehead\n#Version: 1.0\n#Log-type: Message Tracking Log\n#Date: " + protolog.FormatTime(t) +
		"\n#Fields: " + strings.Join(columns[:], ",") + "\n"
}

// A gathering turns events into lines until it is time to write them.
type gathering struct {
	log     *Log
	events  *queue.Subscription
	dropped uint64 // events that the subscription has dropped, as last read
	missing uint64 // dropped events that no #Dropped line counts yet
	lines   []byte
	within  uint64 // events in lines, and events that its #Dropped lines count
	err     error  // the first error since a write succeeded
}

// written updates g after lines were written, or could not be written.
func (g *gathering) written(err error) {
	log := g.log.Logger
	switch {
	case err != nil:
		g.missing += g.within
		if g.err == nil && log != nil {
			log.Error("the message tracking log cannot be written", "dir", g.log.Dir, "error", err)
		}
		g.err = cmp.Or(g.err, err)
	case g.err != nil:
		g.err = nil
		if log != nil {
			log.Info("the message tracking log can be written again", "dir", g.log.Dir)
		}
	}
	g.lines, g.within = g.lines[:0], 0
}

// gather waits for an event, and then gathers more until it is time to write. It
// returns false when the subscription is closed.
func (g *gathering) gather() bool {
	e, ok := <-g.events.C
	if !ok {
		return false
	}
	g.add(&e)
	timer := time.NewTimer(gatherTime)
	defer timer.Stop()
	for len(g.lines) < gatherBytes {
		select {
		case e, ok := <-g.events.C:
			if !ok {
				return false
			}
			g.add(&e)
		case <-timer.C:
			return true
		}
	}
	return true
}

// add adds the line of an event, after a #Dropped line if events are missing.
func (g *gathering) add(e *queue.Event) {
	n := g.events.Dropped()
	g.missing += n - g.dropped
	g.dropped = n
	if g.missing > 0 {
		g.lines = fmt.Appendf(g.lines, "#Dropped: %d events before %s\n", g.missing, protolog.FormatTime(e.Time))
		g.within += g.missing
		g.missing = 0
	}
	if e.Kind == queue.EventTransfer && g.log.NoTransfer {
		return
	}
	g.within++
	r := g.log.record(e)
	g.lines = r.append(g.lines)
}
