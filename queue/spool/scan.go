package spool

import "errors"

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

// A scan is the content of a segment.
type scan struct {
	found   []found
	damaged []gap // parts that were durable once
	end     int64 // where the last record ends
	cut     int64 // bytes of later records, which were never acknowledged
}

var (
	errGap  = errors.New("spool: bytes that are not a record")
	errBody = errors.New("spool: content does not match its checksum")
)

// scanSegment finds the records in a segment's bytes.
//
// A broken or missing record has one of two causes. Either the commit that wrote it
// was not completed: then the record was never acknowledged, and it is cut off with
// all that follows. Or the record was durable and the disk lost it: that is damage.
// A commit begins only after the one before is durable. So all bytes were durable
// that are before the beginning of any batch of which a record is left. The same
// holds for all bytes before knownEnd, the end that the header of the next segment
// names (-1 if there is none).
func scanSegment(b []byte, s salt, knownEnd int64) scan {
	limit := int64(len(b))
	if knownEnd >= 0 {
		limit = min(limit, knownEnd)
	}
	var sc scan
	var gaps []gap
	durable := knownEnd
	off := int64(segmentHeaderLen)
	for off < limit {
		f, ok := recordAt(b[:limit], off, s)
		if ok {
			sc.found = append(sc.found, f)
			durable = max(durable, int64(f.batch))
			off += f.size()
			continue
		}
		next := nextRecord(b[:limit], off, s)
		if next < 0 {
			break
		}
		gaps = append(gaps, gap{off, next - off, errGap})
		off = next
	}
	sc.end = off
	if knownEnd >= 0 && off < knownEnd {
		gaps = append(gaps, gap{off, knownEnd - off, errGap})
		sc.end = knownEnd
	}
	sc.cutTorn(gaps, durable)
	if knownEnd < 0 {
		sc.cut += torn(b, sc.end+sc.cut, s)
	}
	return sc
}

// cutTorn distinguishes damage from a torn end, and cuts the torn end off. All bytes
// before durable were durable once.
func (sc *scan) cutTorn(gaps []gap, durable int64) {
	end := sc.end
	for _, g := range gaps {
		if g.off >= durable {
			end = min(end, g.off)
			break
		}
		sc.damaged = append(sc.damaged, g)
	}
	for i, f := range sc.found {
		if f.off >= end || f.badBody && f.off >= durable {
			end = min(end, f.off)
			sc.found = sc.found[:i]
			break
		}
	}
	sc.cut = sc.end - end
	sc.end = end
}

// torn returns the length of an incomplete record at off, 0 if there is none.
func torn(b []byte, off int64, s salt) int64 {
	if off < int64(len(b)) {
		if h, ok := parseHeader(b[off:], s); ok {
			return min(h.size(), int64(len(b))-off)
		}
	}
	return 0
}

// recordAt returns the record at off. ok is false unless header and meta match their
// checksums.
func recordAt(b []byte, off int64, s salt) (f found, ok bool) {
	f.off = off
	if f.header, ok = parseHeader(b[off:], s); !ok || f.size() > int64(len(b))-off {
		return f, false
	}
	rest := b[off+headerLen:]
	meta, body := rest[:f.metaLen], rest[f.metaLen:][:f.bodyLen]
	if checksum(meta) != f.metaCRC {
		return f, false
	}
	f.badBody = checksum(body) != f.bodyCRC
	return f, true
}

// nextRecord returns where the next record after off begins, -1 if there is none.
// Records begin at multiples of 8.
func nextRecord(b []byte, off int64, s salt) int64 {
	for off += 8; off < int64(len(b)); off += 8 {
		if _, ok := parseHeader(b[off:], s); ok {
			if _, ok := recordAt(b, off, s); ok {
				return off
			}
		}
	}
	return -1
}
