package spool

import (
	"context"
	"hash/maphash"
	"sync"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/internal/index"
)

// Put implements queue.Store. Content of Options.LargeContent bytes or more is
// stored in a file of its own. If most of the content is in a file of CreateFile,
// Put adopts that file and does not copy it. Put then replaces m.Content, so that
// the caller can close its file.
func (s *Spool) Put(ctx context.Context, m *queue.Message, sch queue.Schedule) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := queue.ValidID(m.ID); err != nil {
		return err
	}
	c := contentOf(m.Content)
	if c.Size() >= s.largeContent { // write no file for a message that is refused
		err := s.log.mayPut()
		if err == nil && s.index.has(m.ID) {
			err = queue.ErrExists
		}
		if err != nil {
			return err
		}
	}
	seq := s.nextSeq.Add(1)
	l, err := s.layout(m.ID, seq, c)
	if err != nil {
		return diskError(err)
	}
	r := messages.Get().(*newMessage)
	if err = r.fill(s, seq, m, sch, &l); err == nil {
		var w *waiter
		if w, err = s.index.add(r, &l.head); err == nil {
			err = s.log.wait(w)
		}
	}
	r.free()
	if err != nil {
		s.discard(&l, seq)
		return err
	}
	if l.content != nil {
		m.Content = l.content
	}
	return nil
}

// A newMessage is the record of a new message with its memory. After its commit,
// nothing refers to it.
type newMessage struct {
	record
	sum uint64 // of the recipients

	from       index.Address
	recipients []index.Recipient

	buf []byte
	one [1][]byte // for bufs
}

var messages = sync.Pool{New: func() any { return &newMessage{buf: make([]byte, 0, 8<<10)} }}

// maxPooled is the size of the largest buffer that is reused.
const maxPooled = 64 << 10

func (r *newMessage) free() {
	if cap(r.buf) > maxPooled {
		return
	}
	r.record = record{}
	messages.Put(r)
}

// copiedBody is the length of the longest body that is copied into the buffer of
// its meta. For a short body this is cheaper than another buffer in the system call.
const copiedBody = 16 << 10

// fill makes the record.
func (r *newMessage) fill(s *Spool, seq uint64, m *queue.Message, sch queue.Schedule, l *layout) error {
	l.head.received, l.head.priority = m.Received, m.Options.Priority
	e := encoder(append(r.buf[:0], make([]byte, headerLen)...))
	e.head(&l.head)
	st := stateOf(m, sch)
	e.schedule(&st)
	rcpts := len(e)
	e.recipients(st.recipients)
	r.sum = maphash.Bytes(s.seed, e[rcpts:])
	e.envelope(m)
	r.buf = e

	r.from = index.HashAddress(m.From)
	r.recipients = index.AppendRecipients(r.recipients[:0], m.Recipients)
	r.schedule = sch
	r.kind, r.seq = kindMessage, seq
	r.metaLen = uint32(len(e) - headerLen)
	r.metaCRC = checksum(e[headerLen:])
	if l.body.Size() > copiedBody {
		return r.referTo(e, l.body)
	}
	start := len(e)
	for _, p := range l.body.Parts() {
		var err error
		if e, err = appendPart(e, p); err != nil {
			return err
		}
	}
	r.bodyLen = uint32(len(e) - start)
	r.bodyCRC = checksum(e[start:])
	e = append(e, padding[:r.size()-int64(len(e))]...)
	r.buf = e
	r.one[0] = e
	r.bufs = r.one[:]
	return nil
}

var padding [8]byte

// referTo makes a record of a meta and of a body whose parts are not copied.
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
		r.bufs = append(r.bufs, padding[:pad])
	}
	return nil
}

// appendPart appends the bytes of a part. It reads them if they are in a file.
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

// contentOf returns c as a content with parts.
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
