package protolog

import (
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkWriter shows what a line costs that goes to a file, its part of
// the system calls included, from one session and from as many at once as
// there are processors.
func BenchmarkWriter(b *testing.B) {
	start := func(b *testing.B) *Writer {
		f := &Files{Dir: filepath.Join(b.TempDir(), "log"), Header: Header("SMTP Receive Protocol Log"), MaxSize: 1 << 30}
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
