package spool

import (
	"context"
	"hash/maphash"
	"sync"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/internal/index"
)

// Put implements queue.Store. Content from Options.LargeContent on becomes a
// file of its own; where it lies in a file that CreateFile made, that file is
// taken over as it is, and m.Content is replaced by one that keeps no file
// open.
func (s *Spool) Put(ctx context.Context, m *queue.Message, sch queue.Schedule) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := queue.ValidID(m.ID); err != nil {
		return err
	}
	if err := s.mayPut(m.ID); err != nil {
		return err
	}
	c := contentOf(m.Content)
	seq := s.nextSeq.Add(1)
	l, err := s.layout(seq, c)
	if err != nil {
		return diskError(err)
	}
	r, buf, sum, err := s.newMessage(seq, m, sch, l)
	if err == nil {
		err = s.putRecord(r, sum, l)
	}
	if buf != nil {
		putBuffers.Put(buf)
	}
	if err != nil {
		l.discard(s)
		return err
	}
	if l.content != nil {
		m.Content = l.content
	}
	return nil
}

// mayPut says early what Put would find out late.
func (s *Spool) mayPut(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mayPutLocked(id)
}

func (s *Spool) mayPutLocked(id string) error {
	if s.closed {
		return queue.ErrClosed
	}
	if s.noSpare != nil {
		return s.noSpare
	}
	if _, found := s.index.Find(id); found {
		return queue.ErrExists
	}
	return nil
}

func (s *Spool) putRecord(r *record, sum uint64, l *layout) error {
	s.mu.Lock()
	if err := s.mayPutLocked(l.head.id); err != nil {
		s.mu.Unlock()
		return err
	}
	r.slot, _ = s.index.Add(l.head.id, l.head.priority)
	e := s.index.At(r.slot)
	e.Data = entryData{seq: r.seq, sum: sum, inFile: l.head.inFile(), delayed: !r.schedule.Volatile && !r.schedule.Due.IsZero()}
	e.Size = l.head.size
	e.Received = index.Nano(l.head.received)
	return s.commit(r)
}

// putBuffers are for records in the making. Larger ones than maxPooled are
// left to the garbage collector.
var putBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 8<<10); return &b }}

const maxPooled = 64 << 10

// copiedBody is the length up to which a body is copied behind its meta,
// which is cheaper than one more buffer for the kernel to look at.
const copiedBody = 16 << 10

// newMessage makes the record of a new message. The buffer, where there is
// one, can be used again when the record is written.
func (s *Spool) newMessage(seq uint64, m *queue.Message, sch queue.Schedule, l *layout) (r *record, buf *[]byte, sum uint64, err error) {
	l.head.id, l.head.received, l.head.priority = m.ID, m.Received, m.Priority
	buf = putBuffers.Get().(*[]byte)
	e := encoder(append((*buf)[:0], make([]byte, headerLen)...))
	e.head(&l.head)
	st := stateOf(m, sch)
	e.schedule(&st)
	rcpts := len(e)
	e.recipients(st.recipients)
	sum = maphash.Bytes(s.seed, e[rcpts:])
	e.envelope(m)

	r = &record{schedule: sch}
	r.kind, r.seq = kindMessage, seq
	r.metaLen = uint32(len(e) - headerLen)
	r.metaCRC = checksum(e[headerLen:])
	if l.body.Size() <= copiedBody {
		start := len(e)
		for _, p := range l.body.Parts() {
			if e, err = appendPart(e, p); err != nil {
				return nil, buf, 0, err
			}
		}
		r.bodyLen = uint32(len(e) - start)
		r.bodyCRC = checksum(e[start:])
		e = append(e, make([]byte, r.size()-int64(len(e)))...)
		r.bufs = [][]byte{e}
	} else if err = r.referTo(e, l.body); err != nil {
		return nil, buf, 0, err
	}
	if *buf = e; cap(e) > maxPooled {
		buf = nil
	}
	return r, buf, sum, nil
}

// referTo makes a record of a meta and the parts of a body as they lie in
// memory.
func (r *record) referTo(meta []byte, body *content.Content) error {
	r.bufs = append(r.bufs, meta)
	for _, p := range body.Parts() {
		b := p.Bytes
		if p.File != nil {
			var err error
			if b, err = appendPart(nil, p); err != nil {
				return err
			}
		}
		r.bodyLen += uint32(len(b))
		r.bodyCRC = updateChecksum(r.bodyCRC, b)
		r.bufs = append(r.bufs, b)
	}
	if pad := r.size() - headerLen - int64(r.metaLen) - int64(r.bodyLen); pad > 0 {
		r.bufs = append(r.bufs, make([]byte, pad))
	}
	return nil
}

// appendPart appends the bytes of a part, read where it lies in a file.
func appendPart(b []byte, p content.Part) ([]byte, error) {
	if p.File == nil {
		return append(b, p.Bytes...), nil
	}
	start := len(b)
	b = append(b, make([]byte, p.N)...)
	n, err := p.File.ReadAt(b[start:], p.Off)
	if int64(n) == p.N {
		err = nil
	}
	return b, err
}

// contentOf is c as the parts that it is made of.
func contentOf(c queue.Content) *content.Content {
	switch c := c.(type) {
	case nil:
		return content.Of()
	case *content.Content:
		return c
	default:
		return content.Section(c, 0, c.Size())
	}
}
