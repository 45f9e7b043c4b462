package spool

import (
	"encoding/binary"
	"hash/crc32"
)

// A record begins with a header of fixed length, little endian:
//
//	 0  4  mark of the segment, see salt
//	 4  1  kind
//	 5  3  zero
//	 8  4  length of the meta
//	12  4  length of the body
//	16  8  sequence number of the message
//	24  4  batch: where in the segment the commit that wrote the record began
//	28  4  CRC-32C of the meta
//	32  4  CRC-32C of the body
//	36  4  CRC-32C of the bytes 0 to 35, begun with the segment's salt
//
// Meta and body follow, then zeros up to a multiple of 8 bytes.
const headerLen = 40

type kind uint8

const (
	kindMessage kind = 1 + iota // head, state, envelope; the body is content
	kindState                   // ID and new state of a message
	kindRemoval                 // the message has ended; the meta is the number of the segment that had it (8 bytes)
	kindChange                  // ID and new state of a message, of the recipients only those that have changed
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// A header is a record's header, decoded.
type header struct {
	kind             kind
	metaLen, bodyLen uint32
	seq              uint64
	batch            uint32
	metaCRC, bodyCRC uint32
}

// size returns the length of the whole record with padding.
func (h *header) size() int64 {
	return padded(headerLen + int64(h.metaLen) + int64(h.bodyLen))
}

func padded(n int64) int64 { return (n + 7) &^ 7 }

// A key is the random number of a spool. The first and the last bytes of a record's
// header depend on it. So the sender of a message cannot make content that recovery
// would take for a record.
type key [16]byte

// A salt is computed from the key and the number of a segment. Because of the
// number, records of an earlier segment in the same file are not valid.
type salt struct{ mark, sum uint32 }

func (k key) salt(segment uint32) salt {
	b := binary.LittleEndian.AppendUint64(k[:len(k):len(k)], uint64(segment))
	return salt{mark: crc32.ChecksumIEEE(b), sum: checksum(b)}
}

// put writes the header into b.
func (h *header) put(b []byte, s salt) {
	le := binary.LittleEndian
	le.PutUint32(b[0:], s.mark)
	le.PutUint32(b[4:], uint32(h.kind))
	le.PutUint32(b[8:], h.metaLen)
	le.PutUint32(b[12:], h.bodyLen)
	le.PutUint64(b[16:], h.seq)
	le.PutUint32(b[24:], h.batch)
	le.PutUint32(b[28:], h.metaCRC)
	le.PutUint32(b[32:], h.bodyCRC)
	le.PutUint32(b[36:], updateChecksum(s.sum, b[:36]))
}

// parseHeader decodes the header at the start of b. ok is false if there is no
// header of a record of the segment with this salt.
func parseHeader(b []byte, s salt) (h header, ok bool) {
	le := binary.LittleEndian
	if len(b) < headerLen || le.Uint32(b) != s.mark || le.Uint32(b[36:]) != updateChecksum(s.sum, b[:36]) {
		return h, false
	}
	h = header{
		kind: kind(b[4]), metaLen: le.Uint32(b[8:]), bodyLen: le.Uint32(b[12:]),
		seq: le.Uint64(b[16:]), batch: le.Uint32(b[24:]),
		metaCRC: le.Uint32(b[28:]), bodyCRC: le.Uint32(b[32:]),
	}
	return h, h.kind >= kindMessage && h.kind <= kindChange
}

// A segment begins with a header:
//
//	 0  8  magic "BHspool" and a zero
//	 8  4  version of the format: see version
//	12  4  zero
//	16  8  number of the segment
//	24  8  number of the segment before, 0 for none
//	32  8  where that one ends: later records in it were never acknowledged
//	40  8  when the segment was begun, Unix nanoseconds
//	48  16 the spool's key
//	64  4  CRC-32C of the bytes 0 to 63
//	68  4  scan end, see scanend.go
const segmentHeaderLen = 72

// version is the version of the format. Version 1 has no kindChange and no waits
// (encoder.due). Version 2 has no extensions of the envelope and no hasResult.
// Version 3 has no file of suspensions. Version 4 has no extOrigin. A segment may
// have records of earlier versions, which compaction has copied.
const version = 5

var segmentMagic = [8]byte{'B', 'H', 's', 'p', 'o', 'o', 'l'}

type segmentHeader struct {
	version uint32
	number  uint64
	prev    uint64
	prevEnd int64
	begun   int64
	key     key
	scanEnd int64 // 0 if there is none
}

func (h *segmentHeader) encode() []byte {
	b := make([]byte, segmentHeaderLen)
	le := binary.LittleEndian
	copy(b, segmentMagic[:])
	le.PutUint32(b[8:], h.version)
	le.PutUint64(b[16:], h.number)
	le.PutUint64(b[24:], h.prev)
	le.PutUint64(b[32:], uint64(h.prevEnd))
	le.PutUint64(b[40:], uint64(h.begun))
	copy(b[48:], h.key[:])
	le.PutUint32(b[64:], checksum(b[:64]))
	if h.scanEnd > 0 {
		b = appendScanEnd(b[:scanEndOffset], uint32(h.number), h.scanEnd)
	}
	return b
}

func parseSegmentHeader(b []byte) (h segmentHeader, ok bool) {
	le := binary.LittleEndian
	if len(b) < segmentHeaderLen || [8]byte(b) != segmentMagic || le.Uint32(b[64:]) != checksum(b[:64]) {
		return h, false
	}
	return segmentHeader{
		version: le.Uint32(b[8:]), number: le.Uint64(b[16:]), prev: le.Uint64(b[24:]),
		prevEnd: int64(le.Uint64(b[32:])), begun: int64(le.Uint64(b[40:])),
		key: key(b[48:64]), scanEnd: parseScanEnd(b[scanEndOffset:], uint32(le.Uint64(b[16:]))),
	}, true
}

// updateChecksum adds bytes to a checksum.
func updateChecksum(crc uint32, b []byte) uint32 { return crc32.Update(crc, castagnoli, b) }
