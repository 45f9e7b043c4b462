package spool

import (
	"encoding/binary"
	"errors"
	"time"
)

// The encoding of the values in a record: Numbers are varints. A string follows its
// length. A time is a byte, 0 for the zero time and 1 for any other, followed by the
// seconds since 1970 and the nanoseconds if it is not zero. A due time after a wait
// (format version 2) begins with the byte 2 instead, and is followed by the wait in
// nanoseconds.

// An encoder appends values.
type encoder []byte

func (e *encoder) uint(n uint64) { *e = binary.AppendUvarint(*e, n) }
func (e *encoder) int(n int64)   { *e = binary.AppendVarint(*e, n) }
func (e *encoder) byte(b byte)   { *e = append(*e, b) }

func (e *encoder) bool(b bool) {
	if b {
		e.byte(1)
	} else {
		e.byte(0)
	}
}

func (e *encoder) str(s string) {
	e.uint(uint64(len(s)))
	*e = append(*e, s...)
}

func (e *encoder) time(t time.Time) {
	e.bool(!t.IsZero())
	if !t.IsZero() {
		e.instant(t)
	}
}

func (e *encoder) instant(t time.Time) {
	e.int(t.Unix())
	e.uint(uint64(t.Nanosecond()))
}

// due encodes a due time and the wait that ends then. A zero wait means none.
func (e *encoder) due(t time.Time, wait time.Duration) {
	if t.IsZero() || wait <= 0 {
		e.time(t)
		return
	}
	e.byte(2)
	e.instant(t)
	e.uint(uint64(wait))
}

var errShort = errors.New("spool: the values in a record do not match its length")

// A decoder takes values from the front of its bytes. After the first value that
// cannot be decoded, err is set and all values are zero.
type decoder struct {
	b    []byte
	text string // the same bytes at first, if the strings should be parts of it; see newTextDecoder
	err  error
}

// newTextDecoder returns a decoder that allocates once, and not for each string. The
// strings keep all bytes in memory, so they must be dropped soon.
func newTextDecoder(b []byte) decoder { return decoder{b: b, text: string(b)} }

func (d *decoder) fail() {
	d.b = nil
	if d.err == nil {
		d.err = errShort
	}
}

func (d *decoder) uint() uint64 {
	n, k := binary.Uvarint(d.b)
	if k <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[k:]
	return n
}

func (d *decoder) int() int64 {
	n, k := binary.Varint(d.b)
	if k <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[k:]
	return n
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail()
		return 0
	}
	b := d.b[0]
	d.b = d.b[1:]
	return b
}

func (d *decoder) bool() bool { return d.byte() != 0 }

func (d *decoder) bytes() []byte {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) str() string {
	b := d.bytes()
	if d.text != "" {
		end := len(d.text) - len(d.b)
		return d.text[end-len(b) : end]
	}
	return string(b)
}

func (d *decoder) time() time.Time {
	if !d.bool() {
		return time.Time{}
	}
	return d.instant()
}

func (d *decoder) due() (t time.Time, wait time.Duration) {
	switch d.byte() {
	case 0:
		return t, 0
	case 1: // a time by the wall clock, and all times in format version 1
		return d.instant(), 0
	case 2:
		if t, wait = d.instant(), time.Duration(d.uint()); wait <= 0 {
			d.fail()
		}
	default:
		d.fail()
	}
	return t, wait
}

func (d *decoder) instant() time.Time {
	sec := d.int()
	nsec := d.uint()
	if nsec >= 1e9 {
		d.fail()
		return time.Time{}
	}
	return time.Unix(sec, int64(nsec))
}

// count decodes a number of elements that have at least one byte each.
func (d *decoder) count() int {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.fail()
		return 0
	}
	return int(n)
}
