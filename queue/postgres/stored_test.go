package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// Contents of all sizes are read as they were stored, as a whole and in parts.
func TestContent(t *testing.T) {
	s := open(t, pgtest.Database(t), nil)
	for i, size := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 5*chunkSize + 7} {
		m := plainMessage(fmt.Sprint("m", i), size)
		key, err := storeIn(t.Context(), s, 0, m, false)
		if err != nil {
			t.Fatal(err)
		}
		if err := sameContent(s, m, key); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		c := s.storedContent(m.ID, key, int64(size), nil, nil)
		for _, off := range []int{0, 1, size / 2, size - 1, size, size + 1} {
			for _, n := range []int{0, 1, 100, chunkSize, size} {
				if off < 0 {
					continue
				}
				got, want := make([]byte, n), make([]byte, n)
				gotN, gotErr := c.ReadAt(got, int64(off))
				wantN, wantErr := m.Content.ReadAt(want, int64(off))
				if gotN != wantN || !bytes.Equal(got, want) || gotErr != wantErr && gotN < n {
					t.Errorf("%d bytes: ReadAt %d bytes at %d: %d, %v; want %d, %v", size, n, off, gotN, gotErr, wantN, wantErr)
				}
			}
		}
	}
}

// A large content is stored in parts, with the same result.
func TestStoreContent(t *testing.T) {
	s := open(t, pgtest.Database(t), nil)
	for i, size := range []int{0, 1, 4 * chunkSize, 9*chunkSize + 1} {
		m := plainMessage(fmt.Sprint("m", i), size)
		key, err := storeIn(t.Context(), s, 0, &queue.Message{ID: m.ID, Content: queue.Bytes()}, false)
		if err != nil {
			t.Fatal(err)
		}
		err = pgx.BeginFunc(t.Context(), s.db.pool, func(tx pgx.Tx) error {
			return s.storeContent(t.Context(), tx, 0, newContent{key, m.Content})
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := sameContent(s, m, key); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

// A content that cannot be read is not stored.
func TestContentThatCannotBeRead(t *testing.T) {
	s := &Store{}
	short := io.NewSectionReader(bytes.NewReader([]byte("short")), 0, 100)
	for _, c := range []queue.Content{fileContent{short, 100}, fileContent{failing{}, 100}} {
		if err := s.queueContent(&pgx.Batch{}, 0, newContent{1, c}); err == nil {
			t.Error("no error")
		}
	}
}

type fileContent struct {
	io.ReaderAt
	size int64
}

func (c fileContent) Size() int64                              { return c.size }
func (c fileContent) WriteTo(w io.Writer) (n int64, err error) { return 0, errors.ErrUnsupported }

type failing struct{}

func (failing) ReadAt([]byte, int64) (int, error) { return 0, errors.New("the disk is broken") }

// Damage is found, and wrong bytes are never returned.
func TestDamagedContent(t *testing.T) {
	s := open(t, pgtest.Database(t), nil)
	for i, damage := range []string{
		`update bridgehead.content set data = set_byte(data, 5, 255 - get_byte(data, 5)) where key = $1 and n = 1`,
		`update bridgehead.content set data = substr(data, 2) where key = $1 and n = 1`,
		`update bridgehead.content set data = data || '\x00' where key = $1 and n = 2`,
		`update bridgehead.content set crc = crc + 1 where key = $1 and n = 1`,
		`delete from bridgehead.content where key = $1 and n = 1`,
		`update bridgehead.content set n = n + 1 where key = $1 and n = 2`,
		`delete from bridgehead.content where key = $1`,
	} {
		m := plainMessage(fmt.Sprint("m", i), 2*chunkSize+100)
		key, err := storeIn(t.Context(), s, 0, m, false)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.db.tx(t.Context(), func(b *pgx.Batch) { b.Queue(damage, key) }); err != nil {
			t.Fatal(err)
		}
		if err := sameContent(s, m, key); !errors.Is(err, queue.ErrDamaged) {
			t.Errorf("%s: WriteTo: %v", damage, err)
		}
		c := s.storedContent(m.ID, key, m.Content.Size(), nil, nil)
		if n, err := c.ReadAt(make([]byte, m.Content.Size()), 0); n == int(m.Content.Size()) || !errors.Is(err, queue.ErrDamaged) {
			t.Errorf("%s: ReadAt: %d, %v", damage, n, err)
		}
	}
	// The first chunk, read with the message.
	data, sum := []byte("content"), crc([]byte("content"))
	if _, ok := queue.InMemory(s.storedContent("m", 1, 7, data, &sum)); !ok {
		t.Error("a small content that was read with the message is not in memory")
	}
	for _, bad := range []queue.Content{
		s.storedContent("m", 1, 8, data, &sum), s.storedContent("m", 1, 7, []byte("Content"), &sum), s.storedContent("m", 1, 7, nil, nil),
	} {
		if _, ok := queue.InMemory(bad); ok {
			t.Error("a content with other bytes than those stored is in memory")
		}
	}
}

// A message that was removed and stored again has another content.
func TestContentOfRemovedMessage(t *testing.T) {
	s := open(t, pgtest.Database(t), nil)
	old := plainMessage("m", 1000)
	key, err := storeIn(t.Context(), s, 0, old, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := deleteMessage(t.Context(), s, "m"); err != nil {
		t.Fatal(err)
	}
	m := plainMessage("m", 1001)
	newKey, err := storeIn(t.Context(), s, 0, m, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := sameContent(s, old, key); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("the content of the removed message: %v", err)
	}
	if err := sameContent(s, m, newKey); err != nil {
		t.Error(err)
	}
	s.Close()
	if err := sameContent(s, m, newKey); !errors.Is(err, queue.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// A moving is a chunkReader of a content that is moved to another slot at each call. Only
// the last slot has it.
type moving struct {
	calls, last int
	data        []byte
}

func (m *moving) readChunks(context.Context, string, int64, int64, int64) (int16, []chunk, error) {
	if m.calls++; m.calls < m.last {
		return int16(m.calls % slotCount), nil, nil
	}
	return int16(m.last % slotCount), []chunk{{0, crc(m.data), m.data}}, nil
}

// A reader that finds the slot of a message empty reads again, as long as the slot changes.
func TestContentThatMoves(t *testing.T) {
	for last := 1; last <= 10; last++ {
		m := &moving{last: last, data: []byte("content")}
		var b bytes.Buffer
		if _, err := (&storedContent{m, "m", 1, 7}).WriteTo(&b); err != nil || b.String() != "content" {
			t.Errorf("after %d moves: %q, %v", last-1, b.String(), err)
		}
	}
}
