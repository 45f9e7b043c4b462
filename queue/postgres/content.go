package postgres

import (
	"context"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// chunkSize is the size of the chunks of a content, in bytes. Only the last chunk of a
// content is shorter. An empty content has no chunk.
const chunkSize = 256 << 10

// crcTable is that of CRC-32C, for which processors have an instruction.
var crcTable = crc32.MakeTable(crc32.Castagnoli)

// A newContent is a content to store. The message refers to it by key, in column
// content, and by the slot.
type newContent struct {
	key     int64
	content queue.Content
}

// contentKey returns a new key. A key is not the ID of the message: a message can be
// stored with the ID of one that was removed, while the content of that one is still in
// the table.
func (s *Store) contentKey() int64 {
	s.content.Lock()
	defer s.content.Unlock()
	return s.content.keys.key()
}

const insertChunks = `
insert into bridgehead.content (slot, key, n, crc, data)
select $1, * from unnest($2::bigint[], $3::integer[], $4::integer[], $5::bytea[])`

// queueContent appends to b what stores contents. All of it is in memory until b has
// been sent, so it is for small contents: see storeContent. It returns an error if a
// content cannot be read.
//
// The transaction must also insert the messages that refer to the contents. If the
// message cannot be inserted, its content does no harm.
func (s *Store) queueContent(b *pgx.Batch, slot int16, contents ...newContent) error {
	var c chunks
	for _, content := range contents {
		for n := int64(0); n*chunkSize < content.content.Size(); n++ {
			if err := c.add(content, n); err != nil {
				return err
			}
		}
	}
	c.queue(b, slot)
	return nil
}

// storeContent stores a content of any size in the transaction of tx. It keeps at most
// a MiB of it in memory.
func (s *Store) storeContent(ctx context.Context, tx pgx.Tx, slot int16, content newContent) error {
	count := (content.content.Size() + chunkSize - 1) / chunkSize
	for n := int64(0); n < count; {
		var c chunks
		for end := min(n+readMost, count); n < end; n++ {
			if err := c.add(content, n); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, insertChunks, slot, c.keys, c.numbers, c.crcs, c.data); err != nil {
			return err
		}
	}
	return nil
}

// chunks are rows of a content table, by column.
type chunks struct {
	keys    []int64
	numbers []int32
	crcs    []int32
	data    [][]byte
}

// add adds chunk n of a content.
func (c *chunks) add(content newContent, n int64) error {
	data, err := readChunk(content.content, n)
	if err != nil {
		return fmt.Errorf("queue: the content of a new message cannot be read: %w", err)
	}
	c.keys, c.numbers = append(c.keys, content.key), append(c.numbers, int32(n))
	c.crcs, c.data = append(c.crcs, crc(data)), append(c.data, data)
	return nil
}

// queue appends the insertion of the chunks to b.
func (c *chunks) queue(b *pgx.Batch, slot int16) {
	if len(c.keys) > 0 {
		b.Queue(insertChunks, slot, c.keys, c.numbers, c.crcs, c.data)
	}
}

// crc returns the CRC-32C as the database has it. It has no unsigned integers.
func crc(data []byte) int32 { return int32(crc32.Checksum(data, crcTable)) }

// readChunk returns chunk n of a content. It does not copy a content that is one piece
// of memory.
func readChunk(c queue.Content, n int64) ([]byte, error) {
	off := n * chunkSize
	size := min(c.Size()-off, chunkSize)
	if parts, ok := queue.InMemory(c); ok && len(parts) == 1 {
		return parts[0][off:][:size:size], nil
	}
	data := make([]byte, size)
	if n, err := c.ReadAt(data, off); int64(n) < size {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return data, nil
}
