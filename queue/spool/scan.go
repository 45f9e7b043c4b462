package spool

import (
	"errors"
	"io"
)

// A found is a record that a scan has found.
type found struct {
	header
	off     int64
	badBody bool // its body does not match its checksum
}

// A gap is a part of a segment that should have records but has none.
type gap struct {
	off, size int64
	err       error
}

var (
	errGap  = errors.New("spool: bytes that are not a record")
	errBody = errors.New("spool: content does not match its checksum")
)

// A scanner finds the records of a segment. It holds a window of the segment in memory.
//
// A broken or missing record has one of two causes. Either the commit that wrote it
// was not completed: then the record was never acknowledged, and it is cut off with
// all that follows. Or the record was durable and the disk lost it: that is damage.
// A commit begins only after the one before is durable. So all bytes were durable
// that are before the beginning of any batch of which a record is left. The same
// holds for all bytes before the end that the header of the next segment names.
type scanner struct {
	window
	salt salt

	record func(f found) // called for each record, in order
	damage func(g gap)   // called for each part that was durable once

	end int64 // where the last record ends
	cut int64 // bytes of later records, which were never acknowledged

	durable int64  // all bytes before it were durable once
	held    []item // the first is not known to be damaged or torn; nil if all is known
}

// An item is a record or a gap of a segment.
type item struct {
	found
	gap bool
	len int64 // of the gap
}

// torn reports whether the item is torn if the bytes from durable on were not durable.
func (i *item) torn(durable int64) bool { return (i.gap || i.badBody) && i.off >= durable }

// newScanner returns a scanner of the first size bytes of a file.
func newScanner(f io.ReaderAt, size int64, s salt) *scanner {
	return &scanner{window: window{file: f, size: size}, salt: s}
}

// scan finds the records. knownEnd is the end that the header of the next segment
// names, -1 if there is none. If there is none, no record begins at or after written
// unless all bytes before it are records.
func (sc *scanner) scan(knownEnd, written int64) {
	limit := sc.size
	if knownEnd >= 0 {
		limit = min(limit, knownEnd)
		written = limit
	}
	sc.durable = knownEnd
	off := int64(segmentHeaderLen)
	for off < limit {
		if f, ok := sc.recordAt(off, limit); ok {
			sc.durable = max(sc.durable, int64(f.batch))
			sc.add(item{found: f})
			off += f.size()
			continue
		}
		if off > written { // then written is not right
			written = limit
		}
		next := sc.nextRecord(off, min(limit, written))
		if next < 0 {
			break
		}
		sc.add(item{found: found{off: off}, gap: true, len: next - off})
		off = next
	}
	sc.end = off
	if knownEnd >= 0 && off < knownEnd {
		sc.add(item{found: found{off: off}, gap: true, len: knownEnd - off})
		sc.end = knownEnd
	}
	if len(sc.held) > 0 { // the torn end
		sc.cut = sc.end - sc.held[0].off
		sc.end -= sc.cut
		sc.held = nil
	}
	if knownEnd < 0 {
		sc.cut += sc.tornAt(sc.end + sc.cut)
	}
}

// add reports an item, or holds it as long as it may belong to the torn end.
func (sc *scanner) add(i item) {
	for len(sc.held) > 0 && !sc.held[0].torn(sc.durable) {
		sc.report(sc.held[0])
		sc.held = sc.held[1:]
	}
	if len(sc.held) > 0 || i.torn(sc.durable) {
		sc.held = append(sc.held, i)
		return
	}
	sc.report(i)
}

func (sc *scanner) report(i item) {
	if i.gap {
		sc.damage(gap{i.off, i.len, errGap})
	} else {
		sc.record(i.found)
	}
}

// tornAt returns the length of an incomplete record at off, 0 if there is none.
func (sc *scanner) tornAt(off int64) int64 {
	if h, ok := parseHeader(sc.at(off, headerLen), sc.salt); ok {
		return min(h.size(), sc.size-off)
	}
	return 0
}

// recordAt returns the record at off that ends before limit. ok is false unless header
// and meta match their checksums.
func (sc *scanner) recordAt(off, limit int64) (f found, ok bool) {
	f.off = off
	if f.header, ok = parseHeader(sc.at(off, headerLen), sc.salt); !ok || f.size() > limit-off {
		return f, false
	}
	if f.size() <= windowSize {
		sc.at(off, f.size()) // all of it at once
	}
	if checksum(sc.meta(f)) != f.metaCRC {
		return f, false
	}
	var crc uint32
	body := off + headerLen + int64(f.metaLen)
	for rest := int64(f.bodyLen); rest > 0; {
		n := min(rest, windowSize)
		crc = updateChecksum(crc, sc.at(body, n))
		body += n
		rest -= n
	}
	f.badBody = crc != f.bodyCRC
	return f, true
}

// meta returns the meta of a record, valid until the next call of a method.
func (sc *scanner) meta(f found) []byte {
	if f.size() <= windowSize {
		return sc.at(f.off, f.size())[headerLen:][:f.metaLen]
	}
	return sc.at(f.off+headerLen, int64(f.metaLen))
}

// nextRecord returns where the next record after off begins, -1 if there is none
// before limit.
func (sc *scanner) nextRecord(off, limit int64) int64 {
	for {
		if off = sc.nextHeader(off, limit); off < 0 {
			return -1
		}
		if _, ok := sc.recordAt(off, sc.size); ok {
			return off
		}
	}
}

// nextHeader returns where the next header of a record after off is, -1 if there is
// none before limit. Records begin at multiples of 8.
func (sc *scanner) nextHeader(off, limit int64) int64 {
	for off += 8; off <= limit-headerLen; {
		b := sc.at(off, min(limit-off, windowSize))
		i := 0
		for i <= len(b)-headerLen {
			if _, ok := parseHeader(b[i:], sc.salt); ok {
				break
			}
			i += 8
		}
		off += int64(i)
		if i > len(b)-headerLen { // no header in b
			continue
		}
		return off
	}
	return -1
}
