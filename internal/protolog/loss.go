package protolog

import (
	"fmt"
	"log/slog"
	"time"
)

// A loss counts the lines of a log that could not be written, for example because
// the disk is full.
type loss struct {
	lines  int   // in the buffer
	lost   int   // lost since the last write that succeeded
	errors int   // writes that failed since then
	now    error // the error of the last write; nil if it succeeded
}

// mark returns the lines to write. If lines were lost before them, a line that
// begins with "#Dropped:" comes first and counts those.
func (l *loss) mark(lines []byte) []byte {
	if l.lost == 0 {
		return lines
	}
	mark := fmt.Appendf(nil, "#Dropped: %d lines before %s\n", l.lost, FormatTime(time.Now()))
	return append(mark, lines...)
}

// written notes the result of a write. It logs when a loss begins and when it
// ends, and only counts the errors between.
func (l *loss) written(err error, log *slog.Logger) {
	switch {
	case err != nil:
		if l.now == nil && log != nil {
			log.Error("protocol log cannot be written", "error", err)
		}
		l.lost += l.lines
		l.errors++
	case l.now != nil:
		if log != nil {
			log.Info("protocol log is written again", "lost_lines", l.lost, "errors", l.errors)
		}
		l.lost, l.errors = 0, 0
	}
	l.now, l.lines = err, 0
}
