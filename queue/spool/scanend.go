package spool

import "encoding/binary"

// Recovery must not read the zeros in a segment that was not used to its end. So the
// header of a segment has an offset before which all its records begin, its scan end.
// It moves ahead of the records in steps, each with a commit that must be synced
// anyway.
//
// The scan end has 4 bytes that the checksum of the header does not include, because it
// changes: the number of pages of 4 KiB (20 bits), then the first 12 bits of a checksum.
// Without a valid scan end recovery reads the whole segment. The first programs wrote
// zeros there, and ignore what they read.

const (
	scanEndOffset = 68 // in the header of a segment
	scanPage      = 4 << 10
	maxScanPages  = 1<<20 - 1
)

// appendScanEnd appends the 4 bytes of a scan end.
func appendScanEnd(b []byte, number uint32, end int64) []byte {
	pages := (end + scanPage - 1) / scanPage
	if pages > maxScanPages {
		pages = 0 // recovery reads the whole segment
	}
	return binary.LittleEndian.AppendUint32(b, uint32(pages)<<12|scanEndCheck(number, uint32(pages)))
}

// parseScanEnd decodes a scan end. It returns 0 if there is no valid one.
func parseScanEnd(b []byte, number uint32) int64 {
	v := binary.LittleEndian.Uint32(b)
	if pages := v >> 12; v&0xfff == scanEndCheck(number, pages) {
		return int64(pages) * scanPage
	}
	return 0
}

// scanEndCheck returns a checksum of 12 bits. The number of the segment is part of it.
func scanEndCheck(number, pages uint32) uint32 {
	var b [8]byte
	binary.LittleEndian.PutUint32(b[:], number)
	binary.LittleEndian.PutUint32(b[4:], pages)
	return checksum(b[:]) >> 20
}

// scanStep is how far a scan end is moved ahead of the records.
func (g *segment) scanStep() int64 { return max(g.capacity/16, scanPage) }

// nextScanEnd returns the scan end to write with a commit that ends at end, 0 if none.
func (g *segment) nextScanEnd(end int64) int64 {
	if g.scanEnd == 0 || g.scanEnd >= g.capacity || end+g.scanStep()/2 <= g.scanEnd {
		return 0
	}
	return (end + g.scanStep() + scanPage - 1) / scanPage * scanPage
}

// writeScanEnd writes a scan end. It is durable after the next sync of the segment.
func (g *segment) writeScanEnd(end int64) error {
	return g.file.WriteAt([][]byte{appendScanEnd(nil, g.number, end)}, scanEndOffset)
}

// makeRoom makes a scan end durable that is not before end.
func (g *segment) makeRoom(end int64) error {
	if g.scanEnd == 0 || end <= g.scanEnd {
		return nil
	}
	next := g.nextScanEnd(end)
	if next == 0 {
		return nil
	}
	if err := g.writeScanEnd(next); err != nil {
		return err
	}
	if err := g.file.Sync(); err != nil {
		return err
	}
	g.scanEnd = next
	return nil
}

// searchEnd returns where recovery stops to look for records.
func (g *segment) searchEnd() int64 {
	if g.scanEnd == 0 {
		return g.capacity
	}
	return min(g.scanEnd, g.capacity)
}
