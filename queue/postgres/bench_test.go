package postgres

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
)

// benchSlice is how long each of the alternatives of BenchmarkPut runs in a round.
const benchSlice = 250 * time.Millisecond

// BenchmarkPut measures durable submissions of 4 KiB, beside the spool and beside a plain
// table of IDs, envelopes and contents in the same database. Its groups of 20 messages are
// inserted with unnest, over one and over two connections. An iteration is a round in which
// each of them runs for benchSlice. The metrics are medians of the rounds, in messages a
// second; "of-insert" and "of-insert2" are those of the ratios of Put and the plain inserts.
//
//	go test -run '^$' -bench BenchmarkPut$ -benchtime 7x
func BenchmarkPut(b *testing.B) {
	for _, writers := range []int{1, 20, 100} {
		b.Run(fmt.Sprintf("%dwriters", writers), func(b *testing.B) {
			url := pgtest.Database(b)
			s := open(b, url, nil)
			files, err := spool.Open(b.TempDir(), nil)
			if err != nil {
				b.Fatal(err)
			}
			defer files.Close()
			plain := newPlainTable(b, url)
			figures := make(map[string][]float64)
			for b.Loop() {
				put := putRate(b, s, writers)
				one, two := plain.rate(b, 1), plain.rate(b, 2)
				for name, value := range map[string]float64{
					"put/s": put, "insert/s": one, "insert2/s": two, "spool/s": putRate(b, files, writers),
					"of-insert": put / one, "of-insert2": put / two,
				} {
					figures[name] = append(figures[name], value)
				}
				b.StopTimer()
				plain.clear(b)
				s.leases.reset()
				b.StartTimer()
			}
			for name, values := range figures {
				slices.Sort(values)
				b.ReportMetric(values[len(values)/2], name)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// benchMessages numbers the messages of BenchmarkPut.
var benchMessages atomic.Int64

// benchBytes returns random bytes, always the same.
var benchBytes = sync.OnceValue(func() []byte {
	b := make([]byte, 8<<10)
	rand.Read(b)
	return b
})

// benchMessage returns a message like those that a relay gets, with 4 KiB that cannot be
// compressed.
func benchMessage() *queue.Message {
	n := benchMessages.Add(1)
	return &queue.Message{
		ID: fmt.Sprintf("%010d", n), From: "sender@example.org",
		Recipients: queue.Rcpt("recipient@example.net"), Content: queue.Bytes(benchBytes()[n%4096:][:4<<10]), Received: time.Now(),
		Origin: queue.Origin{Connector: "smtp", ClientAddr: "192.0.2.1", ClientHelo: "client.example.org", Protocol: "ESMTP"},
	}
}

// putRate returns how many messages a number of writers puts in a second.
func putRate(b *testing.B, s queue.Store, writers int) float64 {
	schedule := leasedTo("bench")
	return rate(b, writers, 1, func() error { return s.Put(context.Background(), benchMessage(), schedule) })
}

// rate returns how many messages a second are stored by goroutines that call store. A
// call stores n messages.
func rate(b *testing.B, goroutines, n int, store func() error) float64 {
	var wg sync.WaitGroup
	var stored atomic.Int64
	begin := time.Now()
	for range goroutines {
		wg.Go(func() {
			for time.Since(begin) < benchSlice {
				if err := store(); err != nil {
					b.Error(err)
					return
				}
				stored.Add(int64(n))
			}
		})
	}
	wg.Wait()
	return float64(stored.Load()) / time.Since(begin).Seconds()
}

// A plainTable is a table without anything that a queue needs.
type plainTable struct{ pool *pgxpool.Pool }

func newPlainTable(b *testing.B, url string) *plainTable {
	pool, err := pgxpool.New(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	_, err = pool.Exec(b.Context(), `create table public.plain (id text primary key, envelope bytea, content bytea);
		alter table public.plain alter content set storage external`)
	if err != nil {
		b.Fatal(err)
	}
	return &plainTable{pool}
}

// rate returns how many messages a second are inserted over a number of connections.
func (p *plainTable) rate(b *testing.B, connections int) float64 {
	const group = 20
	return rate(b, connections, group, func() error {
		ids, envelopes, contents := make([]string, group), make([][]byte, group), make([][]byte, group)
		for i := range group {
			m := benchMessage()
			envelope, err := encodeEnvelope(m)
			if err != nil {
				return err
			}
			parts, _ := queue.InMemory(m.Content)
			ids[i], envelopes[i], contents[i] = m.ID, envelope, parts[0]
		}
		_, err := p.pool.Exec(context.Background(),
			`insert into public.plain select * from unnest($1::text[], $2::bytea[], $3::bytea[])`, ids, envelopes, contents)
		return err
	})
}

// clear removes all messages of the database.
func (p *plainTable) clear(b *testing.B) {
	batch := &pgx.Batch{}
	batch.Queue(`truncate public.plain, bridgehead.message, bridgehead.content`)
	if err := p.pool.SendBatch(b.Context(), batch).Close(); err != nil {
		b.Fatal(err)
	}
}
