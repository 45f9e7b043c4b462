package logfile

import (
	"fmt"
	"log/slog"
	"time"
)

// A Loss counts what could not be written to a log, for example because the disk is
// full. It logs once when a loss begins and once when it ends. The next entry that is
// written must be preceded by a mark, see Dropped. Calls must not be concurrent.
type Loss struct {
	Log  string // name of the log in messages, for example "protocol log"
	Unit string // what is lost, for example "lines"

	lost   int   // since the last write that succeeded
	errors int   // writes that failed since then
	err    error // of the last write
}

// Dropped returns the text of the mark before the next entry, for example "3 lines
// before 2026-11-21T12:00:00.000Z". It is empty if nothing was lost.
func (l *Loss) Dropped() string {
	if l.lost == 0 {
		return ""
	}
	return fmt.Sprintf("%d %s before %s", l.lost, l.Unit, time.Now().UTC().Format("2006-01-02T15:04:05.000Z"))
}

// Written notes the result of writing n units. If err is nil, the mark was written too.
// A nil log is silent.
func (l *Loss) Written(n int, err error, log *slog.Logger) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	switch {
	case err != nil:
		if l.err == nil {
			log.Error(l.Log+" cannot be written", "error", err)
		}
		l.lost += n
		l.errors++
	case l.err != nil:
		log.Info(l.Log+" is written again", "lost_"+l.Unit, l.lost, "errors", l.errors)
		l.lost, l.errors = 0, 0
	}
	l.err = err
}
