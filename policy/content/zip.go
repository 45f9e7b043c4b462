package content

import (
	"bytes"
	"encoding/binary"
)

// A zipEntry is what a zip file's directory says of a file in it. The
// directory is read here and not by archive/zip, because that reads all of it
// before it tells how long it is.
type zipEntry struct {
	name      string
	encrypted bool
	method    uint16
	size      int64 // packed
	offset    int64 // of the local header
}

const (
	zipEndLen       = 22
	zipDirectoryLen = 46
	zipLocalLen     = 30
)

// zipDirectory reads up to most entries of the directory at the end of a zip
// file (PKWARE's APPNOTE, 4.3.12 and 4.3.16). Zip64 is not read: no attachment
// is that large.
func zipDirectory(data []byte, most int) ([]zipEntry, error) {
	end := zipEnd(data)
	if end < 0 {
		return nil, errUnreadable
	}
	le := binary.LittleEndian
	count := int(le.Uint16(data[end+10:]))
	size := int64(le.Uint32(data[end+12:]))
	offset := int64(le.Uint32(data[end+16:]))
	// What stands before the archive shifts all offsets.
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
		entries = append(entries, zipEntry{
			name:      string(d[zipDirectoryLen : zipDirectoryLen+n]),
			encrypted: le.Uint16(d[8:])&1 != 0,
			method:    le.Uint16(d[10:]),
			size:      int64(le.Uint32(d[20:])),
			offset:    base + int64(le.Uint32(d[42:])),
		})
		d = d[l:]
	}
	if len(entries) != count {
		return nil, errUnreadable
	}
	return entries, nil
}

// zipEnd is the offset of the end record, whose comment ends the file; -1
// where there is none.
func zipEnd(data []byte) int {
	for i := len(data) - zipEndLen; i >= 0 && i >= len(data)-zipEndLen-0xffff; i-- {
		if bytes.HasPrefix(data[i:], []byte("PK\x05\x06")) && i+zipEndLen+int(binary.LittleEndian.Uint16(data[i+20:])) <= len(data) {
			return i
		}
	}
	return -1
}

// local is the entry's local header, nil where there is none.
func (e *zipEntry) local(data []byte) []byte {
	if e.offset < 0 || e.offset+zipLocalLen > int64(len(data)) || !bytes.HasPrefix(data[e.offset:], []byte("PK\x03\x04")) {
		return nil
	}
	return data[e.offset:]
}

// localName is the name in the local header, which may lie.
func (e *zipEntry) localName(data []byte) string {
	h := e.local(data)
	if h == nil {
		return ""
	}
	n := zipLocalLen + int(binary.LittleEndian.Uint16(h[26:]))
	if n > len(h) {
		return ""
	}
	return string(h[zipLocalLen:n])
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
