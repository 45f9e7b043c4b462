package boltstore

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/bridgehead-mail/bridgehead/queue"
	bolt "go.etcd.io/bbolt"
)

// The buckets of the database. Each value ends with its checksum, because bbolt
// checks none of its pages but the first two.
var (
	envelopes = []byte("envelopes") // ID -> record as JSON
	contents  = []byte("contents")  // ID, 0, number of the chunk -> chunk
	damaged   = []byte("damaged")   // copies of envelopes that cannot be read
)

// chunkSize is the size of the pieces that content is stored and read in.
const chunkSize = 64 << 10

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal returns b with its checksum. The checksum includes the key, so a value
// under the wrong key is found too.
func seal(key, b []byte) []byte {
	return binary.BigEndian.AppendUint32(b[:len(b):len(b)], sum(key, b))
}

// unseal returns the bytes that were given to seal, or ErrDamaged.
func unseal(key, v []byte) ([]byte, error) {
	n := len(v) - 4
	if n < 0 || sum(key, v[:n]) != binary.BigEndian.Uint32(v[n:]) {
		return nil, queue.ErrDamaged
	}
	return v[:n], nil
}

func sum(key, b []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, b)
}

// A record is the envelope of a message and its schedule. Leases are not
// recorded: one process at a time opens the database.
type record struct {
	From        string
	Options     queue.MessageOptions
	Recipients  []*queue.Recipient
	Received    time.Time
	Origin      queue.Origin
	System      bool
	Interrupted int
	Size        int64 // of the content

	Due  time.Time
	Wait time.Duration
	Hop  queue.NextHop
}

func newRecord(m *queue.Message, s queue.Schedule) *record {
	r := &record{
		From: m.From, Options: m.Options, Recipients: m.Recipients, Received: m.Received,
		Origin: m.Origin, System: m.System, Interrupted: m.Interrupted, Size: m.Content.Size(),
	}
	r.schedule(s)
	return r
}

// schedule sets the schedule that a restart goes back to.
func (r *record) schedule(s queue.Schedule) {
	if s.Volatile {
		s = queue.Schedule{}
	}
	r.Due, r.Wait, r.Hop = s.Due, s.Wait, s.Hop
}

func (r *record) message(id string, c queue.Content) *queue.Message {
	return &queue.Message{
		ID: id, From: r.From, Options: r.Options, Recipients: r.Recipients, Content: c, Received: r.Received,
		Origin: r.Origin, System: r.System, Interrupted: r.Interrupted,
	}
}

func (r *record) entry(id string) *entry {
	return &entry{Entry: queue.Entry{
		ID: id, Size: r.Size, Received: r.Received, Priority: r.Options.Priority,
		Schedule: queue.Schedule{Due: r.Due, Wait: r.Wait, Hop: r.Hop},
	}}
}

func (r *record) put(tx *bolt.Tx, id string) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return tx.Bucket(envelopes).Put([]byte(id), seal([]byte(id), b))
}

func decode(id, v []byte) (*record, error) {
	b, err := unseal(id, v)
	if err != nil {
		return nil, err
	}
	r := new(record)
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("%w: %w", queue.ErrDamaged, err)
	}
	return r, nil
}

func getRecord(tx *bolt.Tx, id string) (*record, error) {
	v := tx.Bucket(envelopes).Get([]byte(id))
	if v == nil {
		return nil, queue.ErrNotFound
	}
	return decode([]byte(id), v)
}

// setAside moves an envelope that cannot be read to the bucket of damaged ones.
// The content stays where it is.
func (s *Store) setAside(tx *bolt.Tx, id string) error {
	b := tx.Bucket(envelopes)
	v := bytes.Clone(b.Get([]byte(id)))
	s.log.Error("boltstore: the envelope of a message is damaged; the message is no longer in the queue", "id", id)
	return errors.Join(tx.Bucket(damaged).Put([]byte(id), v), b.Delete([]byte(id)))
}

func deleteMessage(tx *bolt.Tx, id string) error {
	c := tx.Bucket(contents).Cursor()
	prefix := append([]byte(id), 0)
	for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Seek(prefix) {
		if err := c.Delete(); err != nil {
			return err
		}
	}
	return tx.Bucket(envelopes).Delete([]byte(id))
}

// chunkKey returns the key of a chunk of content.
func chunkKey(id string, n int64) []byte {
	return binary.BigEndian.AppendUint32(append([]byte(id), 0), uint32(n))
}

// putContent stores the content of a message.
func putContent(tx *bolt.Tx, id string, c queue.Content) error {
	w := &chunkWriter{bucket: tx.Bucket(contents), id: id}
	n, err := c.WriteTo(w)
	if err == nil && n != c.Size() {
		err = fmt.Errorf("boltstore: the content of %s has %d bytes, not %d", id, n, c.Size())
	}
	if err == nil {
		err = w.flush()
	}
	return err
}

// A chunkWriter writes content to the database in chunks.
type chunkWriter struct {
	bucket *bolt.Bucket
	id     string
	n      int64
	buf    []byte
}

func (w *chunkWriter) Write(p []byte) (int, error) {
	written := len(p)
	for len(p) > 0 {
		k := min(len(p), chunkSize-len(w.buf))
		w.buf, p = append(w.buf, p[:k]...), p[k:]
		if len(w.buf) == chunkSize {
			if err := w.flush(); err != nil {
				return written - len(p), err
			}
		}
	}
	return written, nil
}

func (w *chunkWriter) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	key := chunkKey(w.id, w.n)
	err := w.bucket.Put(key, seal(key, w.buf)) // seal copies
	w.n++
	w.buf = w.buf[:0]
	return err
}

// A content reads the content of a message from the database.
type content struct {
	s    *Store
	id   string
	size int64
}

func (c *content) Size() int64 { return c.size }

func (c *content) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("boltstore: negative offset")
	}
	n := 0
	for n < len(p) && off < c.size {
		b, err := c.chunk(off / chunkSize)
		if err != nil {
			return n, err
		}
		k := copy(p[n:], b[off%chunkSize:])
		n, off = n+k, off+int64(k)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (c *content) WriteTo(w io.Writer) (n int64, err error) {
	for n < c.size {
		b, err := c.chunk(n / chunkSize)
		if err != nil {
			return n, err
		}
		k, err := w.Write(b)
		n += int64(k)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// chunk reads one chunk in a transaction of its own: a long transaction would
// keep the database from reusing pages.
func (c *content) chunk(n int64) (b []byte, err error) {
	key := chunkKey(c.id, n)
	err = c.s.db.View(func(tx *bolt.Tx) error {
		v := tx.Bucket(contents).Get(key)
		if v == nil {
			if tx.Bucket(envelopes).Get([]byte(c.id)) == nil {
				return queue.ErrNotFound
			}
			return queue.ErrDamaged
		}
		v, err := unseal(key, v)
		if err == nil && int64(len(v)) != min(chunkSize, c.size-n*chunkSize) {
			err = queue.ErrDamaged
		}
		b = bytes.Clone(v)
		return err
	})
	return b, storeError(err)
}
