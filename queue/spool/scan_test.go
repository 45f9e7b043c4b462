package spool

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
)

// A scanned is the result of a scan of bytes.
type scanned struct {
	found   []found
	damaged []gap
	end     int64
	cut     int64
}

// scanBytes scans the bytes of a segment.
func scanBytes(b []byte, s salt, knownEnd int64) (res scanned) {
	sc := newScanner(bytes.NewReader(b), int64(len(b)), s)
	sc.record = func(f found) { res.found = append(res.found, f) }
	sc.damage = func(g gap) { res.damaged = append(res.damaged, g) }
	sc.scan(knownEnd, int64(len(b)))
	res.end, res.cut = sc.end, sc.cut
	return res
}

// A recordSpec describes a record of a test segment.
type recordSpec struct {
	size  int // of the body
	batch int // the index of the first record of its commit
}

// testSegment returns the bytes of a segment, and where its records begin.
func testSegment(s salt, specs ...recordSpec) (b []byte, at []int64) {
	b = make([]byte, segmentHeaderLen)
	for i, spec := range specs {
		at = append(at, int64(len(b)))
		body := bytes.Repeat([]byte{byte(i)}, spec.size)
		h := header{
			kind: kindMessage, seq: uint64(i), bodyLen: uint32(len(body)), bodyCRC: checksum(body),
			metaLen: 8, metaCRC: checksum(make([]byte, 8)), batch: uint32(at[spec.batch]),
		}
		rec := make([]byte, h.size())
		h.put(rec, s)
		copy(rec[headerLen+8:], body)
		b = append(b, rec...)
	}
	return b, at
}

// countingReader counts the bytes that are read.
type countingReader struct {
	io.ReaderAt
	n int64
}

func (r *countingReader) ReadAt(b []byte, off int64) (int, error) {
	n, err := r.ReaderAt.ReadAt(b, off)
	r.n += int64(n)
	return n, err
}

// A scan holds only a window in memory. It reads records that are longer than the
// window, or that are on its border, and finds the same as in a small segment.
func TestScanLongSegment(t *testing.T) {
	s := key{1}.salt(1)
	rnd := rand.New(rand.NewPCG(1, 1))
	specs := []recordSpec{{size: 10}, {size: 3*windowSize + 5, batch: 1}, {size: windowSize - 64, batch: 2}}
	for i := range 300 {
		specs = append(specs, recordSpec{size: rnd.IntN(40 << 10), batch: 3 + i/7*7})
	}
	b, at := testSegment(s, specs...)
	b = append(b, make([]byte, windowSize)...)
	r := &countingReader{ReaderAt: bytes.NewReader(b)}
	sc := newScanner(r, int64(len(b)), s)
	most := 0
	var got []int64
	sc.record = func(f found) {
		if f.badBody || len(sc.meta(f)) != 8 {
			t.Errorf("the record at %d is damaged", f.off)
		}
		got = append(got, f.off)
		most = max(most, cap(sc.buf))
	}
	sc.damage = func(g gap) { t.Errorf("damage at %d", g.off) }
	sc.scan(-1, int64(len(b)))
	if fmt.Sprint(got) != fmt.Sprint(at) || sc.end != int64(len(b))-windowSize || sc.cut != 0 {
		t.Errorf("%d records up to %d, cut %d; want %d up to %d", len(got), sc.end, sc.cut, len(at), len(b)-windowSize)
	}
	if most > windowSize {
		t.Errorf("%d bytes in memory, want at most %d", most, windowSize)
	}
	if r.n > 3*int64(len(b)) {
		t.Errorf("%d bytes read of %d", r.n, len(b))
	}
}

// A gap before a later commit is damage. A gap in the last commit is a torn end, and
// the records after it are not reported.
func TestScanTornOrDamaged(t *testing.T) {
	s := key{1}.salt(1)
	// The commits are 0, 1 to 3, and 4 to 6.
	specs := []recordSpec{{100, 0}, {100, 1}, {100, 1}, {100, 1}, {100, 4}, {100, 4}, {100, 4}}
	for _, tc := range []struct {
		name           string
		header, body   []int // the records with a damaged header, with a damaged body
		found, damaged int
		cut            bool
	}{
		{name: "whole", found: 7},
		{name: "damage", header: []int{2}, found: 6, damaged: 1},
		{name: "damaged body", body: []int{2}, found: 7},
		{name: "torn", header: []int{5}, found: 5, cut: true},
		{name: "torn body", body: []int{4}, found: 4, cut: true},
		{name: "damage and torn", header: []int{0, 2, 4}, body: []int{6}, found: 2, damaged: 2, cut: true},
		// Record 6 shows that the bytes before its commit were durable.
		{name: "a gap over two commits", header: []int{1, 3, 4, 5}, found: 3, damaged: 2},
	} {
		b, at := testSegment(s, specs...)
		b = append(b, make([]byte, 500)...)
		for _, i := range tc.header {
			b[at[i]+9] ^= 1
		}
		for _, i := range tc.body {
			b[at[i]+headerLen+20] ^= 1
		}
		sc := scanBytes(b, s, -1)
		if len(sc.found) != tc.found || len(sc.damaged) != tc.damaged || (sc.cut > 0) != tc.cut {
			t.Errorf("%s: %d records, %d damaged, cut %d; want %d, %d, %v", tc.name, len(sc.found), len(sc.damaged), sc.cut, tc.found, tc.damaged, tc.cut)
		}
	}
}

// A scan of a segment that is not complete does not read the zeros after it, but finds
// records that are not expected there.
func TestScanWritten(t *testing.T) {
	s := key{1}.salt(1)
	b, at := testSegment(s, recordSpec{100, 0}, recordSpec{100, 1}, recordSpec{100, 2})
	whole := append(b, make([]byte, 20*windowSize)...)
	for _, written := range []int64{at[1], int64(len(b)), int64(len(b)) + windowSize} {
		r := &countingReader{ReaderAt: bytes.NewReader(whole)}
		sc := newScanner(r, int64(len(whole)), s)
		n := 0
		sc.record = func(found) { n++ }
		sc.scan(-1, written)
		if n != 3 || sc.end != int64(len(b)) || written >= sc.end && r.n > 3*windowSize {
			t.Errorf("written %d: %d records up to %d, %d bytes read", written, n, sc.end, r.n)
		}
	}
}
