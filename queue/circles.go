package queue

import (
	"bytes"
	"sync"
)

var headers = sync.Pool{New: func() any { return new([4 << 10]byte) }}

// headerMost is how much of a message is searched for Received fields.
const headerMost = 256 << 10

// inCircles says whether the message has come through more hosts than
// Limits.Received allows (RFC 5321, 6.3).
func (q *Queue) inCircles(m *Message) bool {
	buf := headers.Get().(*[4 << 10]byte)
	defer headers.Put(buf)
	b := buf[:]
	n, line, start := 0, 0, int64(0)
	for {
		k, _ := m.Content.ReadAt(b, start)
		chunk := b[:k]
		line = 0
		for {
			rest := chunk[line:]
			end := bytes.IndexByte(rest, '\n')
			if end < 0 {
				break
			}
			if end <= 1 {
				return n > q.limits.Received // the blank line
			}
			if len(rest) >= 9 && bytes.EqualFold(rest[:9], []byte("received:")) {
				n++
			}
			line += end + 1
		}
		if line == 0 {
			line = k // a line longer than the chunk
		}
		start += int64(line)
		if k == 0 || k < len(b) || start >= headerMost {
			return n > q.limits.Received
		}
	}
}
