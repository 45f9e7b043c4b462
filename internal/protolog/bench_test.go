package protolog

import (
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkWriter measures one line that is written to a file, with its share of
// the system calls: from one session, and from one session for each processor.
func BenchmarkWriter(b *testing.B) {
	start := func(b *testing.B) *Writer {
		f := &Files{Dir: filepath.Join(b.TempDir(), "log"), Header: Header("SMTP Receive Protocol Log", time.Now()), MaxSize: 1 << 30}
		w := NewWriter(f, "")
		b.Cleanup(func() {
			if err := w.Close(); err != nil {
				b.Error(err)
			}
		})
		b.ReportAllocs()
		e := event("250 2.1.5 Recipient <user@example.net> ok")
		b.SetBytes(int64(len(e.Append(nil))))
		return w
	}
	line := func(w *Writer) {
		e := event("250 2.1.5 Recipient <user@example.net> ok")
		e.Time = time.Now()
		w.Log(e)
	}
	b.Run("one", func(b *testing.B) {
		w := start(b)
		for b.Loop() {
			line(w)
		}
	})
	b.Run("many", func(b *testing.B) {
		w := start(b)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				line(w)
			}
		})
	})
}
