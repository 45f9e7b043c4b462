package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// storedContent returns the content of a message that is stored under key. data and sum are
// the columns data and crc of its first chunk, if they were read together with the
// message, or nil. If that is the whole content, it is in memory. Otherwise it is read
// from the database when it is used.
func (s *Store) storedContent(id string, key, size int64, data []byte, sum *int32) queue.Content {
	if size == 0 {
		return queue.Bytes()
	}
	if size <= chunkSize && sum != nil && int64(len(data)) == size && crc(data) == *sum {
		return queue.Bytes(data)
	}
	return &storedContent{s, id, key, size}
}

// A storedContent is the content of a message in the database. It is a queue.Content.
// Reading returns ErrNotFound if the message is not in the database, and ErrDamaged if
// a chunk is missing or has other bytes than those stored.
type storedContent struct {
	store     chunkReader
	id        string
	key, size int64
}

// A chunkReader is a Store.
type chunkReader interface {
	readChunks(ctx context.Context, id string, key, first, last int64) (slot int16, chunks []chunk, err error)
}

// Size implements queue.Content.
func (c *storedContent) Size() int64 { return c.size }

// readMost is how many chunks are read together.
const readMost = 4

// WriteTo implements queue.Content.
func (c *storedContent) WriteTo(w io.Writer) (written int64, err error) {
	for written < c.size {
		chunks, err := c.read(written/chunkSize, (c.size-1)/chunkSize)
		if err != nil {
			return written, err
		}
		for _, chunk := range chunks {
			n, err := w.Write(chunk)
			if written += int64(n); err != nil {
				return written, err
			}
		}
	}
	return written, nil
}

// ReadAt implements queue.Content. It always reads whole chunks, to check them.
func (c *storedContent) ReadAt(p []byte, off int64) (read int, err error) {
	if off < 0 {
		return 0, errors.New("queue: negative offset in a content")
	}
	for read < len(p) && off < c.size {
		last := min(off+int64(len(p)-read), c.size) - 1
		chunks, err := c.read(off/chunkSize, last/chunkSize)
		if err != nil {
			return read, err
		}
		for _, chunk := range chunks {
			n := copy(p[read:], chunk[off%chunkSize:])
			read, off = read+n, off+int64(n)
		}
	}
	if read < len(p) {
		return read, io.EOF
	}
	return read, nil
}

// read returns the chunks from first to last, but not more than readMost.
//
// The content of a message may be moved to another slot at any time (see
// slots.go). The query then may see the old slot of the message, but the table
// of that slot already empty: TRUNCATE is seen by transactions that began before it.
// Another query sees the new slot. So a chunk is only considered missing if queries
// do not find it in the same slot.
func (c *storedContent) read(first, last int64) ([][]byte, error) {
	last = min(last, first+readMost-1)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	before, same := int16(-1), 0
	for {
		slot, chunks, err := c.store.readChunks(ctx, c.id, c.key, first, last)
		if err != nil {
			return nil, fmt.Errorf("queue: content of message %s: %w", c.id, err)
		}
		missing := int64(len(chunks)) < last-first+1
		if slot == before {
			same++
		}
		if before = slot; missing && same < 2 {
			continue
		}
		if missing {
			return nil, fmt.Errorf("queue: content of message %s: chunks are missing: %w", c.id, queue.ErrDamaged)
		}
		return c.check(first, chunks)
	}
}

// A chunk is a row of a content table.
type chunk struct {
	n, crc int32
	data   []byte
}

// check checks chunks and returns their bytes.
func (c *storedContent) check(first int64, chunks []chunk) ([][]byte, error) {
	data := make([][]byte, len(chunks))
	for i, chunk := range chunks {
		n := first + int64(i)
		if int64(chunk.n) != n || int64(len(chunk.data)) != min(c.size-n*chunkSize, chunkSize) || crc(chunk.data) != chunk.crc {
			return nil, fmt.Errorf("queue: content of message %s, chunk %d: %w", c.id, n, queue.ErrDamaged)
		}
		data[i] = chunk.data
	}
	return data, nil
}

const selectChunks = `
select m.slot, c.n, c.crc, c.data
from bridgehead.message m left join bridgehead.content c
on c.slot = m.slot and c.key = m.content and c.n between $3 and $4
where m.id = $1 and m.content = $2
order by c.n`

// readChunks returns the chunks of a message from first to last that the database has,
// and the slot in which they are.
func (s *Store) readChunks(ctx context.Context, id string, key, first, last int64) (slot int16, chunks []chunk, err error) {
	if err := s.check(ctx); err != nil {
		return 0, nil, err
	}
	found := false
	err = s.db.tx(ctx, func(b *pgx.Batch) {
		b.Queue(selectChunks, id, key, first, last).Query(func(rows pgx.Rows) error {
			found, chunks = false, nil
			for rows.Next() {
				var n, sum *int32
				var data []byte
				if err := rows.Scan(&slot, &n, &sum, &data); err != nil {
					return err
				}
				if found = true; n != nil {
					chunks = append(chunks, chunk{*n, *sum, data})
				}
			}
			return rows.Err()
		})
	})
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused) && (refused.Code == "XX001" || refused.Code == "XX002"): // data_corrupted, index_corrupted
		return 0, nil, queue.ErrDamaged
	case err != nil:
		return 0, nil, err
	case !found:
		return 0, nil, queue.ErrNotFound
	}
	return slot, chunks, nil
}
