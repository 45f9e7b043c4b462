package boltstore_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/examples/boltstore"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
)

// BenchmarkPutRemove stores and removes messages of 4 KiB from 32 goroutines, on
// the disk of the directory for temporary files.
func BenchmarkPutRemove(b *testing.B) {
	for name, open := range map[string]func(dir string) (queue.Store, error){
		"bolt":  func(dir string) (queue.Store, error) { return boltstore.Open(dir+"/queue.db", nil) },
		"spool": func(dir string) (queue.Store, error) { return spool.Open(dir, nil) },
	} {
		b.Run(name, func(b *testing.B) { putRemove(b, open) })
	}
}

func putRemove(b *testing.B, open func(dir string) (queue.Store, error)) {
	st, err := open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	text := strings.Repeat("A line of the message.\r\n", 170)
	ctx := context.Background()
	var n atomic.Int64
	b.SetParallelism(16) // 32 goroutines on 2 processors
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m := &queue.Message{
				ID: fmt.Sprint(n.Add(1)), From: "alice@example.org",
				Recipients: queue.Rcpt("bob@example.net"), Content: queue.String(text), Received: time.Now(),
			}
			if err := st.Put(ctx, m, queue.Schedule{Owner: "a", Until: time.Now().Add(time.Hour)}); err != nil {
				b.Error(err)
			} else if err := st.Remove(ctx, "a", m.ID); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkClaim claims one message of many and gives it back.
func BenchmarkClaim(b *testing.B) {
	for _, waiting := range []int{1000, 10000} {
		b.Run(fmt.Sprint(waiting), func(b *testing.B) {
			st, err := boltstore.Open(b.TempDir()+"/queue.db", nil)
			if err != nil {
				b.Fatal(err)
			}
			defer st.Close()
			fillStore(b, st, waiting)
			c := queue.Claim{Owner: "a", Now: time.Now()}
			c.Until = c.Now // the lease ends at once
			for b.Loop() {
				if ms, err := st.Claim(context.Background(), c); err != nil || len(ms) != 1 {
					b.Fatal(ms, err)
				}
			}
		})
	}
}

// fillStore stores n small messages from 100 goroutines.
func fillStore(b *testing.B, st queue.Store, n int) {
	done := make(chan error, 100)
	for w := range 100 {
		go func() {
			var err error
			for i := w; i < n && err == nil; i += 100 {
				err = st.Put(context.Background(), &queue.Message{
					ID: fmt.Sprint(i), Recipients: queue.Rcpt("bob@example.net"), Content: queue.String("\r\n"),
				}, queue.Schedule{})
			}
			done <- err
		}()
	}
	for range 100 {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
}
