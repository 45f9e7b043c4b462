package spool

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// A loc is the location of a record in the log. The zero value means no record.
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
	version  uint32 // of the format
	writable bool   // the file was opened for writing
	capacity int64
	end      int64        // where the next record goes; only the committer uses it
	closed   bool         // no record may be added; only the committer uses it
	wiped    bool         // retract has succeeded; only the committer uses it
	scanEnd  int64        // durable in the header, 0 for none; only the committer uses it
	prev     uint32       // the segment whose end is in the header, 0 for none
	pins     atomic.Int32 // readers of the file

	// Recovery sets these. intact means that the segment has a header and no
	// damage, lastBatch is where its last commit begins.
	intact    bool
	lastBatch int64

	// live is the number of bytes in records that are needed.
	live int64
	// removals counts the removals in this segment by the segment that has
	// the removed messages. They are needed until that segment is deleted:
	// without them its messages would come back.
	removals map[uint32]int
	// sources are the segments from which messages in this one were copied.
	// They must be deleted first. Otherwise the older copies would come back.
	sources map[uint32]bool
	sealed  time.Time // when it stopped being active; zero while active
	tried   bool      // compaction has tried to empty it
	keep    bool      // it has damaged bytes that could not be saved
	// suspect means that a write or sync has failed. Records may exist after
	// the end that must be ignored. Compaction empties the segment.
	suspect bool
}

// removalLen is the length of a removal record.
const removalLen = headerLen + 8

// needed returns how many bytes must be copied before the segment can be deleted.
func (g *segment) needed() int64 {
	n := g.live
	for _, count := range g.removals {
		n += int64(count) * removalLen
	}
	return n
}

// pin keeps the file of the segment from being reused or closed. The caller has
// locked recordLog.mu, or has pinned the segment before.
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
