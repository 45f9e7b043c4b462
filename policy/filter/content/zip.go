package content

import (
	"bytes"
	"encoding/binary"
)

// A zipEntry is an entry of a zip file's directory. This package does not use
// archive/zip, because archive/zip has no limit for the size of the directory.
type zipEntry struct {
	names     []string // in the directory and in the local header, which may differ
	encrypted bool
	method    uint16
	size      int64 // compressed
	offset    int64 // of the local header
}

const (
	zipEndLen       = 22
	zipDirectoryLen = 46
	zipLocalLen     = 30
)

// zipDirectory reads the directory at the end of a zip file (PKWARE's APPNOTE,
// 4.3.12 and 4.3.16). More than most entries are an error. A Zip64 directory is
// an error, too: no real attachment has that many files.
func zipDirectory(data []byte, most int) ([]zipEntry, error) {
	end := zipEnd(data)
	if end < 0 {
		return nil, errUnreadable
	}
	le := binary.LittleEndian
	count := int(le.Uint16(data[end+10:]))
	size := int64(le.Uint32(data[end+12:]))
	offset := int64(le.Uint32(data[end+16:]))
	// Data before the archive shifts all offsets.
	base := int64(end) - size - offset
	if base < 0 || count == 0xffff {
		return nil, errUnreadable
	}
	if count > most {
		return nil, errTooBig
	}
	entries := make([]zipEntry, 0, count)
	for d := data[base+offset : end]; len(d) > 0; {
		if len(d) < zipDirectoryLen || !bytes.HasPrefix(d, []byte("PK\x01\x02")) {
			return nil, errUnreadable
		}
		if len(entries) == most {
			return nil, errTooBig
		}
		n := int(le.Uint16(d[28:]))
		l := zipDirectoryLen + n + int(le.Uint16(d[30:])) + int(le.Uint16(d[32:]))
		if l > len(d) {
			return nil, errUnreadable
		}
		e := zipEntry{
			encrypted: le.Uint16(d[8:])&1 != 0,
			method:    le.Uint16(d[10:]),
			size:      int64(le.Uint32(d[20:])),
			offset:    base + int64(le.Uint32(d[42:])),
		}
		e.names = zipNamesOf(d[zipDirectoryLen:], n, int(le.Uint16(d[30:])))
		if h := e.local(data); h != nil {
			e.names = append(e.names, zipNamesOf(h[zipLocalLen:], int(le.Uint16(h[26:])), int(le.Uint16(h[28:])))...)
		}
		entries = append(entries, e)
		d = d[l:]
	}
	if len(entries) != count {
		return nil, errUnreadable
	}
	return entries, nil
}

// zipEnd returns the offset of the end record, or -1 if there is none. The
// comment of the record is the end of the file.
func zipEnd(data []byte) int {
	for i := len(data) - zipEndLen; i >= 0 && i >= len(data)-zipEndLen-0xffff; i-- {
		if bytes.HasPrefix(data[i:], []byte("PK\x05\x06")) && i+zipEndLen+int(binary.LittleEndian.Uint16(data[i+20:])) <= len(data) {
			return i
		}
	}
	return -1
}

// local returns the data from the entry's local header on, or nil if there is
// no such header.
func (e *zipEntry) local(data []byte) []byte {
	if e.offset < 0 || e.offset+zipLocalLen > int64(len(data)) || !bytes.HasPrefix(data[e.offset:], []byte("PK\x03\x04")) {
		return nil
	}
	return data[e.offset:]
}

// zipNamesOf returns the names of an entry: the n octets at the start of b, and
// the Info-ZIP Unicode Path in the extra field after it, if present (APPNOTE,
// 4.6.9). Many programs prefer the latter. The name is cut if b is too short.
func zipNamesOf(b []byte, n, extra int) []string {
	n = min(n, len(b))
	names := []string{clip(b[:n])}
	for b = b[n:min(n+extra, len(b))]; len(b) >= 4; {
		id, l := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
		b = b[4:]
		l = min(l, len(b))
		if id == 0x7075 && l > 5 { // version and CRC of the other name come first
			names = append(names, clip(b[5:l]))
		}
		b = b[l:]
	}
	return names
}

// clip limits the length of a name. It keeps the beginning and the end, which
// matter for patterns. Without a limit, many headers could refer to the same 64
// KiB.
func clip(name []byte) string {
	const most = 1024
	if len(name) > most {
		return string(name[:most/2]) + string(name[len(name)-most/2:])
	}
	return string(name)
}

// zipNames returns the names in everything in data that looks like a header,
// whether or not it is in the directory. Some may not be real headers.
func zipNames(data []byte, most int) ([]string, error) {
	var names []string
	for _, h := range [...]struct {
		magic       string
		size, where int
	}{{"PK\x03\x04", zipLocalLen, 26}, {"PK\x01\x02", zipDirectoryLen, 28}} {
		for rest := data; ; {
			i := bytes.Index(rest, []byte(h.magic))
			if i < 0 || i+h.size > len(rest) {
				break
			}
			rest = rest[i:]
			if len(names) >= most {
				return nil, errTooBig
			}
			n, extra := binary.LittleEndian.Uint16(rest[h.where:]), binary.LittleEndian.Uint16(rest[h.where+2:])
			names = append(names, zipNamesOf(rest[h.size:], int(n), int(extra))...)
			rest = rest[len(h.magic):]
		}
	}
	return names, nil
}

func (e *zipEntry) body(data []byte) []byte {
	h := e.local(data)
	if h == nil {
		return nil
	}
	start := int64(zipLocalLen) + int64(binary.LittleEndian.Uint16(h[26:])) + int64(binary.LittleEndian.Uint16(h[28:]))
	if start+e.size > int64(len(h)) {
		return nil
	}
	return h[start : start+e.size]
}
