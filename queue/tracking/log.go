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

	// Logger gets a line when the files cannot be written, and one when they
	// can again; nil is silent.
	Logger *slog.Logger
}

// Lines are gathered for so long, or until there are so many bytes, so that a
// busy relay does not make a system call for each. The time is that for which
// a queue may forget a delivery, too.
const (
	gatherTime  = 100 * time.Millisecond
	gatherBytes = 32 << 10
)

// Write writes the events of a subscription until that is closed. Lines are in
// the file 100 ms after their events: no more than these are missing when the
// process dies. When the subscription is closed, all are written before Write
// returns.
//
// While a file cannot be written (a full disk), events are lost, and Write
// goes on. Where events are missing, for that or because the disk was slower
// than they came, a line that begins with '#' says how many. Write returns the
// first error if the last attempt, too, has failed.
func (l *Log) Write(events *queue.Subscription) error {
	defer events.Close()
	files := &logfile.Files{
		Dir: l.Dir, Prefix: prefix, MaxSize: l.MaxSize, MaxAge: l.MaxAge, MaxDir: l.MaxDir,
		Header: "#Software: Bridgehead\n#Version: 1.0\n#Log-type: Message Tracking Log\n#Fields: " + strings.Join(columns[:], ",") + "\n",
	}
	defer files.Close()
	g := gathering{log: l, events: events}
	for more := true; more; {
		more = g.gather()
		if len(g.lines) == 0 {
			break
		}
		_, err := files.Write(g.lines)
		g.written(err)
	}
	if g.err != nil {
		return fmt.Errorf("tracking: %w", g.err)
	}
	return nil
}

// gathering makes lines of events.
type gathering struct {
	log     *Log
	events  *queue.Subscription
	dropped uint64 // by the subscription, as far as we know of it
	missing uint64 // events that no line tells of
	lines   []byte
	within  uint64 // events that lines tells of, as missing or not
	err     error  // the first since files could be written
}

// written takes note of how it went with the lines.
func (g *gathering) written(err error) {
	log := g.log.Logger
	switch {
	case err != nil:
		g.missing += g.within
		if g.err == nil && log != nil {
			log.Error("message tracking cannot be written", "dir", g.log.Dir, "error", err)
		}
		g.err = cmp.Or(g.err, err)
	case g.err != nil:
		g.err = nil
		if log != nil {
			log.Info("message tracking is written again", "dir", g.log.Dir)
		}
	}
	g.lines, g.within = g.lines[:0], 0
}

// gather waits for an event, and then for more until it is time to write. It
// returns false when no more will come.
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

// add adds an event's line.
func (g *gathering) add(e *queue.Event) {
	n := g.events.Dropped()
	g.missing += n - g.dropped
	g.dropped = n
	if g.missing > 0 {
		g.lines = fmt.Appendf(g.lines, "#Dropped: %d events before %s\n", g.missing, protolog.FormatTime(e.Time))
		g.within += g.missing
		g.missing = 0
	}
	g.within++
	r := g.log.record(e)
	g.lines = r.append(g.lines)
}
