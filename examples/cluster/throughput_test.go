//go:build unix

package main

import (
	"flag"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/internal/pgtest"
)

var (
	nodeCPU  = flag.Float64("node-cpu", 0.4, "processors that each relay of BenchmarkNodes may use; 0: no limit")
	clients  = flag.Int("clients", 40, "clients of BenchmarkNodes")
	messages = flag.Int("messages", 10_000, "messages of BenchmarkNodes in each run")
)

// BenchmarkNodes measures how many messages of 4 KiB a second pass through relays, from
// clients to a mail server. The relays store them durably: one relay in a spool, and
// one or two nodes in a database. The clients, the mail server and PostgreSQL share the
// processors with the relays, so each relay may use only a part of a processor (Linux,
// as root). The three run in turn, b.N times. The results are medians.
//
//	go test -run - -bench Nodes -benchtime 5x
func BenchmarkNodes(b *testing.B) {
	// The server has WAL files that are used again, as one that has run for some time,
	// and makes no checkpoint during a run.
	database, self := newGroup(b, "database", 0), newGroup(b, "clients", 0)
	server := pgtest.Start(b, "checkpoint_timeout = 1h", "max_wal_size = 4GB", "min_wal_size = 1GB", "shared_buffers = 512MB")
	admin := server.Admin(server.Database(b))
	for range 40 {
		server.Query(b, admin, "select pg_logical_emit_message(true, '', ''), pg_switch_wal()")
	}
	server.Query(b, admin, "checkpoint")
	if err := self.join(0); err != nil {
		b.Fatal(err)
	}
	m := measurement{b: b, server: server, database: database}
	if err := m.database.join(int(m.number("select split_part(pg_read_file('postmaster.pid'), E'\\n', 1)"))); err != nil {
		b.Fatal(err)
	}

	var runs [3][]throughput
	b.ResetTimer()
	for range b.N {
		runs[0] = append(runs[0], m.run(1, true))
		runs[1] = append(runs[1], m.run(1, false))
		runs[2] = append(runs[2], m.run(2, false))
	}
	b.StopTimer()
	for i, name := range []string{"spool", "one", "two"} {
		b.ReportMetric(median(runs[i], throughput.messages), name+"-msg/s")
		b.ReportMetric(median(runs[i], throughput.relayCPU), name+"-CPU-µs/msg")
	}
	b.ReportMetric(median(runs[2], throughput.messages)/median(runs[1], throughput.messages), "two/one")
	b.ReportMetric(median(runs[2], throughput.databaseCPU), "database-CPU-µs/msg")
	b.ReportMetric(median(runs[2], throughput.walBytes), "WAL-B/msg")
	b.ReportMetric(0, "ns/op") // says nothing
}

// A throughput is the result of one run.
type throughput struct {
	n                       int
	took, relays, databases time.Duration // relays and databases: of processors; 0 if not known
	wal                     float64       // bytes
}

func (t throughput) messages() float64    { return float64(t.n) / t.took.Seconds() }
func (t throughput) relayCPU() float64    { return float64(t.relays.Microseconds()) / float64(t.n) }
func (t throughput) databaseCPU() float64 { return float64(t.databases.Microseconds()) / float64(t.n) }
func (t throughput) walBytes() float64    { return t.wal / float64(t.n) }

func median(runs []throughput, value func(throughput) float64) float64 {
	var values []float64
	for _, r := range runs {
		values = append(values, value(r))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// A measurement has what its runs share.
type measurement struct {
	b        *testing.B
	server   *pgtest.Server
	database group
	groups   int // of relays, so far
}

// number runs a query as a superuser.
func (m *measurement) number(sql string) float64 {
	m.b.Helper()
	n, err := strconv.ParseFloat(m.server.Query(m.b, m.server.Admin("postgres:///postgres"), sql), 64)
	if err != nil {
		m.b.Fatal(err)
	}
	return n
}

// run starts relays, sends the messages, and waits until they are delivered.
func (m *measurement) run(relays int, spool bool) throughput {
	b, sink := m.b, newCounter(m.b)
	var database string
	if !spool {
		database = m.server.Database(b)
	}
	var groups []group
	var addrs []string
	for i := range relays {
		m.groups++
		g := newGroup(b, fmt.Sprint("relay", m.groups), *nodeCPU)
		r := measured{Name: fmt.Sprint("node", i), State: b.TempDir(), Sink: sink.addr, Database: database, Group: g}
		p := r.start(b)
		defer p.Stop(b)
		groups, addrs = append(groups, g), append(addrs, p.Addrs[0])
	}
	used := func() (d time.Duration) {
		for _, g := range groups {
			d += g.used(b)
		}
		return d
	}
	send := func(n int) {
		end := sink.count.Load() + int64(n)
		sendAll(b, addrs, *clients, n)
		peers.Await(b, "the delivery of all messages", func() bool { return sink.count.Load() >= end })
	}
	send(*messages / 4) // sessions to the mail server are open, the concurrency has grown
	const position = "select pg_current_wal_lsn() - '0/0'"
	t := throughput{n: *messages, wal: -m.number(position), relays: -used(), databases: -m.database.used(b)}
	began := time.Now()
	send(*messages)
	t.took = time.Since(began)
	t.wal += m.number(position)
	t.relays += used()
	t.databases += m.database.used(b)
	if extra := sink.count.Load() - int64(*messages+*messages/4); extra != 0 {
		b.Errorf("%d messages were delivered twice", extra)
	}
	return t
}
