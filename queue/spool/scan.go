package spool

import "errors"

// A found is a record that a scan came upon.
type found struct {
	header
	off     int64
	badBody bool // its body does not match its checksum
}

// A gap is a stretch between records where there should be one.
type gap struct {
	off, size int64
	err       error
}

// A scan is what lies in a segment.
type scan struct {
	found   []found
	damaged []gap // was durable once
	end     int64 // where the last record ends
	cut     int64 // bytes of records beyond, which were never acknowledged
}

var (
	errGap  = errors.New("spool: bytes that are no record")
	errBody = errors.New("spool: content does not match its checksum")
)

// scanSegment finds the records in a segment's bytes.
//
// A record that is broken or missing may be two things. The commit that wrote
// it never came to its end: then nobody was told that it is safe, and it is
// cut off with all that follows. Or it was safe, and the disk lost it: damage.
// What tells them apart is that a commit begins only after the one before is
// durable. So everything was durable that lies before the beginning of any
// batch that left a record, and before knownEnd, which is what the next
// segment's header says (-1 if there is none).
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

// cutTorn sorts out what is damage and what is a torn end.
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

// torn is the length of a record whose header is there and the rest not.
func torn(b []byte, off int64, s salt) int64 {
	if off < int64(len(b)) {
		if h, ok := parseHeader(b[off:], s); ok {
			return min(h.size(), int64(len(b))-off)
		}
	}
	return 0
}

// recordAt is the record at off. Header and meta must be right.
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

// nextRecord is where the next record after a broken one begins, -1 if there
// is none. Records begin at multiples of 8.
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
