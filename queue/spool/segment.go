package spool

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// A loc is where a record is in the log; the zero value is nowhere.
type loc struct {
	segment, off, size uint32
}

// A segment is one file of the log. Only the active one is written to, and
// only by the committer. recordLog.mu guards the fields from live on.
type segment struct {
	number   uint32
	salt     salt
	path     string
	file     file
	writable bool // the file was opened for writing
	capacity int64
	end      int64        // where the next record goes; the committer's own
	closed   bool         // no record may be added any more; the committer's own
	wiped    bool         // retract has done its work; the committer's own
	prev     uint32       // the segment whose end the header says, 0 for none
	pins     atomic.Int32 // readers of the file

	// live counts the bytes of records that are needed.
	live int64
	// graves counts the removals in this segment by the segment that has
	// their messages. They are needed until that one is gone: without them its
	// messages would come back.
	graves map[uint32]int
	// sources are the segments that messages in this one were copied from.
	// They must be deleted first, or the older copies would come back.
	sources map[uint32]bool
	sealed  time.Time // when it was last written to; zero while active
	tried   bool      // compaction has tried to empty it
	keep    bool      // it has damage that could not be saved
	// suspect: a write or sync failed, and records behind the end may exist
	// that do not count. It is to be emptied.
	suspect bool
}

// graveLen is the length of a removal record.
const graveLen = headerLen + 8

// needed is how many bytes must be copied before the segment can go.
func (g *segment) needed() int64 {
	n := g.live
	for _, count := range g.graves {
		n += int64(count) * graveLen
	}
	return n
}

// pin keeps the segment's file from being reused or closed. Its caller holds
// recordLog.mu, or has a pin already.
func (g *segment) pin() {
	if g != nil {
		g.pins.Add(1)
	}
}

func (g *segment) unpin() {
	if g != nil {
		g.pins.Add(-1)
	}
}

func segmentName(number uint32) string { return fmt.Sprintf("%010d.log", number) }

// segmentNumber is the inverse of segmentName; ok is false for other names.
func segmentNumber(name string) (uint32, bool) {
	digits, ok := strings.CutSuffix(name, ".log")
	n, err := strconv.ParseUint(digits, 10, 32)
	return uint32(n), ok && err == nil && name == segmentName(uint32(n))
}
