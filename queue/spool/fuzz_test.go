package spool

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// encoded returns the meta of a message record that has most kinds of fields.
func encoded() []byte {
	m := testMessage("m1", nil)
	m.Options.EnvelopeID = "QQ314159"
	m.Options.Labels = map[string]string{"tenant": "acme", "campaign": ""}
	m.Recipients[0].Options.Notify = []smtp.DSNNotify{smtp.DSNNotifyFailure}
	m.Recipients[0].Last.Reply.Code = 451
	m.Recipients[0].LastAttempt = time.Unix(1e9, 5)
	m.Recipients[0].NextAttempt, m.Recipients[0].RetryWait = time.Unix(1e9, 7), 10*time.Minute
	var e encoder
	e.head(&head{id: "m1", size: 30, parts: []part{{n: 10}, {inFile: true, off: 5, n: 20}}})
	st := stateOf(m, queue.Schedule{Due: time.Unix(1e9, 7), Wait: time.Minute, Hop: queue.NextHop{Destination: "example.net"}})
	e.state(&st)
	e.envelope(m)
	return e
}

// FuzzDecodeMessage decodes any bytes, as if their checksum matched by chance. The
// result is an error, or a message that can be encoded and decoded again.
func FuzzDecodeMessage(f *testing.F) {
	f.Add(encoded())
	f.Add([]byte{})
	f.Add([]byte("\x02m1\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, hd, st, err := decodeMessage(b, nil, nil)
		if err != nil {
			return
		}
		var e encoder
		e.head(&hd)
		e.state(&st)
		e.envelope(m)
		again, hd2, st2, err := decodeMessage(e, nil, nil)
		if err != nil || again.From != m.From || len(again.Options.Labels) != len(m.Options.Labels) || len(again.Recipients) != len(m.Recipients) || hd2.id != hd.id || hd2.size != hd.size ||
			!st2.due.Equal(st.due) || st2.wait != st.wait || st2.hop != st.hop {
			t.Errorf("%+v became %+v, %v", m, again, err)
		}
	})
}

// FuzzDecodeChange applies any bytes as a change to a message. The result is an error,
// or the same recipients with new states.
func FuzzDecodeChange(f *testing.F) {
	m := testMessage("m1", nil)
	m.Recipients = queue.Rcpt("a@example.net", "b@example.net")
	m.Recipients[1].Attempts = 3
	f.Add(newChange(m, []int{1}, queue.Schedule{}).meta())
	f.Add(newChange(m, []int{0, 1, 1}, queue.Schedule{Due: time.Unix(5, 6)}).meta())
	f.Add([]byte("\x02m1\x00\x00\x00\x00\x01\x05"))
	var e encoder
	e.head(&head{id: "m1"})
	st := stateOf(m, queue.Schedule{})
	e.state(&st)
	e.envelope(m)
	f.Fuzz(func(t *testing.T, b []byte) {
		got, _, _, err := decodeMessage(e, nil, [][]byte{b})
		if err == nil && (len(got.Recipients) != 2 || got.Recipients[0] == nil || got.Recipients[1] == nil || got.From != m.From) {
			t.Errorf("%+v", got)
		}
	})
}

// FuzzScan scans any bytes. The scan ends, and the records that it returns are inside
// the segment and in order.
func FuzzScan(f *testing.F) {
	s := key{1, 2, 3}.salt(7)
	segment := func(bodies ...string) []byte {
		b := make([]byte, segmentHeaderLen)
		for i, body := range bodies {
			r := header{kind: kindMessage, seq: uint64(i), bodyLen: uint32(len(body)), bodyCRC: checksum([]byte(body)), batch: uint32(len(b))}
			rec := make([]byte, r.size())
			r.put(rec, s)
			copy(rec[headerLen:], body)
			b = append(b, rec...)
		}
		return append(b, make([]byte, 100)...)
	}
	whole := segment("one", strings.Repeat("two", 50), "three")
	f.Add(whole, int64(-1))
	f.Add(whole, int64(len(whole)-100))
	f.Add(append(bytes.Clone(whole[:150]), whole[100:]...), int64(-1))
	f.Add(bytes.Repeat([]byte{0}, 200), int64(180))
	f.Fuzz(func(t *testing.T, b []byte, knownEnd int64) {
		if knownEnd > int64(len(b)) {
			knownEnd = int64(len(b))
		}
		sc := scanBytes(b, s, knownEnd)
		end := int64(segmentHeaderLen)
		for _, r := range sc.found {
			if r.off < end || r.off+r.size() > int64(len(b)) || r.off%8 != 0 {
				t.Fatalf("record at %d of %d bytes after %d, in %d", r.off, r.size(), end, len(b))
			}
			end = r.off + r.size()
		}
		for _, g := range sc.damaged {
			if g.off < segmentHeaderLen || g.size <= 0 || g.off+g.size > int64(len(b)) {
				t.Fatalf("gap at %d of %d bytes in %d", g.off, g.size, len(b))
			}
		}
		if sc.cut < 0 || sc.end < end && len(sc.found) > 0 {
			t.Fatalf("end %d, cut %d, last record ends at %d", sc.end, sc.cut, end)
		}
	})
}

// FuzzSegmentList decodes any bytes as a list of segments. A list that is decoded has
// ascending runs, and is encoded to the same bytes.
func FuzzSegmentList(f *testing.F) {
	f.Add(encodeList(key{1}, nil))
	f.Add(encodeList(key{2}, []run{{1, 1}, {3, 9}, {11, 1<<32 - 1}}))
	f.Add(encodeList(key{3}, []run{{3, 1}}))
	f.Add([]byte("BHlist\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, fixed := range []bool{false, true} {
			if fixed && len(b) >= 4 { // with the right checksum
				b = binary.LittleEndian.AppendUint32(b[:len(b)-4:len(b)-4], checksum(b[:len(b)-4]))
			}
			l, ok := parseList(b)
			if !ok {
				continue
			}
			for _, r := range l.runs {
				if r.first > r.last {
					t.Errorf("runs %v", l.runs)
				}
			}
			if len(l.runs) <= maxRuns && !bytes.HasPrefix(b, encodeList(l.key, l.runs)) {
				t.Errorf("%v is encoded to other bytes", l.runs)
			}
			l.missing([]uint32{5}, 100)
		}
	})
}
