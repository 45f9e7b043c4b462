package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// benchMessage returns a message like those that a relay gets.
func benchMessage(id string, body []byte) *queue.Message {
	return &queue.Message{
		ID: id, From: "sender@example.org", Recipients: queue.Rcpt("recipient@example.net"),
		Content: queue.Bytes([]byte("Received: from client.example.org by relay.example.net\r\n"), body), Received: time.Now(),
		Origin: queue.Origin{Connector: "smtp", ClientAddr: "192.0.2.1", ClientHelo: "client.example.org", Protocol: "ESMTP"},
	}
}

// BenchmarkPut compares durable submissions with the limit of the disk for this
// number of writers: a plain log with group commit and nothing else. Each message
// is removed again, as in a relay. The two are measured alternately for 50 ms,
// because the speed of a disk varies. "of-limit" is the submissions divided by the
// limit.
func BenchmarkPut(b *testing.B) {
	for _, size := range []int{4 << 10, 100 << 10} {
		for _, writers := range []int{1, 20, 100} {
			b.Run(fmt.Sprintf("%dKiB/%dwriters", size>>10, writers), func(b *testing.B) {
				s, err := Open(b.TempDir(), nil)
				if err != nil {
					b.Fatal(err)
				}
				defer s.Close()
				var limit, put rate
				for put.n < b.N {
					limit.add(diskLimit(b, size, writers))
					put.add(putFor(b, s, size, writers, 50*time.Millisecond))
				}
				b.ReportMetric(put.value(), "msg/s")
				b.ReportMetric(limit.value(), "limit/s")
				b.ReportMetric(put.value()/limit.value(), "of-limit")
				b.ReportMetric(float64(put.n)/float64(s.Stats().Commits), "msg/commit")
			})
		}
	}
}

// A rate is a number of messages per time.
type rate struct {
	n int
	d time.Duration
}

func (r *rate) add(n int, d time.Duration) { r.n += n; r.d += d }
func (r *rate) value() float64             { return float64(r.n) / r.d.Seconds() }

// putFor puts and removes messages for the time d.
func putFor(b *testing.B, s *Spool, size, writers int, d time.Duration) (int, time.Duration) {
	body := make([]byte, size)
	var wg sync.WaitGroup
	var n atomic.Int64
	begin := time.Now()
	until := begin.Add(time.Hour)
	for w := range writers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; time.Since(begin) < d; i++ {
				m := benchMessage(fmt.Sprintf("%08d-%d", i, w), body)
				if err := s.Put(context.Background(), m, queue.Schedule{Owner: "bench", Until: until}); err != nil {
					b.Error(err)
				}
				if err := s.Remove(context.Background(), "bench", m.ID); err != nil {
					b.Error(err)
				}
				n.Add(1)
			}
		}()
	}
	wg.Wait()
	return int(n.Load()), time.Since(begin)
}

// diskLimit measures a plain log. The writers send their messages to one goroutine,
// which appends all waiting messages in one write and syncs.
func diskLimit(b *testing.B, size, writers int) (int, time.Duration) {
	f, err := os.Create(filepath.Join(b.TempDir(), "limit"))
	if err != nil {
		b.Fatal(err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	msg := make([]byte, size)
	todo := make(chan chan error, writers)
	begin := time.Now()
	var n atomic.Int64
	var wg sync.WaitGroup
	for range writers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			done := make(chan error)
			for time.Since(begin) < 50*time.Millisecond {
				todo <- done
				if err := <-done; err != nil {
					b.Error(err)
				}
				n.Add(1)
			}
		}()
	}
	go func() {
		wg.Wait()
		close(todo)
	}()
	var buf []byte
	for first := range todo {
		waiting := []chan error{first}
		buf = append(buf[:0], msg...)
		for len(todo) > 0 {
			waiting = append(waiting, <-todo)
			buf = append(buf, msg...)
		}
		_, err := f.Write(buf)
		err = errors.Join(err, datasync(f))
		for _, done := range waiting {
			done <- err
		}
	}
	return int(n.Load()), time.Since(begin)
}

// BenchmarkPutLarge writes a message of 1 MiB to a file of CreateFile and puts it.
// The limit is to write, sync and rename a file of that length.
func BenchmarkPutLarge(b *testing.B) {
	const size = 1 << 20
	dir := b.TempDir()
	s, err := Open(b.TempDir(), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	body := make([]byte, size)
	var limit, put rate
	for i := range b.N {
		begin := time.Now()
		f, err := s.CreateFile()
		if err == nil {
			_, err = f.Write(body)
		}
		if err != nil {
			b.Fatal(err)
		}
		m := benchMessage(fmt.Sprint(i), nil)
		m.Content = content.Join(content.Of([]byte("Received: here\r\n")), content.Section(f, 0, size))
		if err := s.Put(context.Background(), m, queue.Schedule{Owner: "bench", Until: begin.Add(time.Hour)}); err != nil {
			b.Fatal(err)
		}
		f.Close()
		put.add(1, time.Since(begin))
		if err := s.Remove(context.Background(), "bench", m.ID); err != nil {
			b.Fatal(err)
		}

		begin = time.Now()
		name := filepath.Join(dir, fmt.Sprint(i))
		if f, err = os.Create(name + ".tmp"); err == nil {
			_, err = f.Write(body)
			err = errors.Join(err, datasync(f), f.Close(), os.Rename(name+".tmp", name), osFS{}.SyncDir(dir))
		}
		if err != nil {
			b.Fatal(err)
		}
		limit.add(1, time.Since(begin))
		os.Remove(name)
	}
	b.ReportMetric(put.value(), "msg/s")
	b.ReportMetric(limit.value(), "limit/s")
	b.ReportMetric(put.value()/limit.value(), "of-limit")
}
