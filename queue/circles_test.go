package queue_test

import (
	"context"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// counted counts how often its bytes are read.
type counted struct {
	*strings.Reader
	reads *atomic.Int32
}

func (c counted) ReadAt(b []byte, off int64) (int, error) {
	c.reads.Add(1)
	return c.Reader.ReadAt(b, off)
}

func (c counted) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, io.NewSectionReader(c.Reader, 0, c.Size()))
}

// The header of a message is searched once for how far it has come, however
// many recipients there are: a long one costs enough.
func TestHeaderIsReadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reads atomic.Int32
		w := newWorld(t, func(q *queue.Queue) { q.Store = countingStore{q.Store, &reads} })
		w.run()
		defer w.shutdown()
		synctest.Wait()
		m := message("alice@example.com")
		for range 1000 {
			m.Recipients = append(m.Recipients, queue.Rcpt("bob@example.net")...)
		}
		if err := w.q.Submit(context.Background(), m); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := reads.Load(); n == 0 || n > 10 {
			t.Errorf("read %d times", n)
		}
	})
}

type countingStore struct {
	queue.Store
	reads *atomic.Int32
}

func (s countingStore) Put(ctx context.Context, m *queue.Message, sch queue.Schedule) error {
	err := s.Store.Put(ctx, m, sch)
	m.Content = counted{strings.NewReader("Subject: x\r\n\r\nx\r\n"), s.reads}
	return err
}
