package tracking

import (
	"fmt"
	"strings"
	"time"

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
}

// Lines are gathered for so long, or until there are so many bytes, so that a
// busy relay does not make a system call for each. The time is that for which
// a queue may forget a delivery, too.
const (
	gatherTime  = 100 * time.Millisecond
	gatherBytes = 32 << 10
)

// Write writes the events of a subscription until that is closed, or a file
// cannot be written; it closes the subscription then and returns the error.
// Lines are in the file 100 ms after their events: no more than these are
// missing when the process dies. When the subscription is closed, all are
// written before Write returns.
//
// Where events were dropped, because the disk was slower than they came, a
// line that begins with '#' says how many.
func (l *Log) Write(events *queue.Subscription) error {
	defer events.Close()
	files := &protolog.Files{
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
		if _, err := files.Write(g.lines); err != nil {
			return fmt.Errorf("tracking: %w", err)
		}
	}
	return nil
}

// gathering makes lines of events.
type gathering struct {
	log     *Log
	events  *queue.Subscription
	dropped uint64 // those that a line tells of already
	lines   []byte
}

// gather waits for an event, and then for more until it is time to write. It
// returns false when no more will come.
func (g *gathering) gather() bool {
	g.lines = g.lines[:0]
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
	if n := g.events.Dropped(); n > g.dropped {
		g.lines = fmt.Appendf(g.lines, "#Dropped: %d events before %s\n", n-g.dropped, protolog.FormatTime(e.Time))
		g.dropped = n
	}
	r := g.log.record(e)
	g.lines = r.append(g.lines)
}
