package simulation

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/memdisk"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// The size of the world.
const (
	domains       = 8 // with mail hosts of their own
	senderDomains = 2
	faultTime     = 40 * time.Minute
	healTime      = 12 * time.Hour // at most until the queue is empty
)

// A world is one run.
type world struct {
	seed   uint64
	begun  time.Time
	trace  *trace
	net    *network
	dns    *resolver
	hosts  map[string]*host
	oracle *oracle
	tables []*routing.Table
	healed atomic.Bool // no more faults
	clock  wallClock

	hostsDone sync.WaitGroup
	closers   []func()

	mu        sync.Mutex // guards the fields below
	relay     *relay     // nil while none runs
	disk      *memdisk.Disk
	diskState diskState
	deaths    []time.Time
	troubles  []trouble
}

func newWorld(seed uint64, print func(string)) *world {
	w := &world{seed: seed, begun: time.Now(), hosts: make(map[string]*host)}
	w.trace = &trace{begun: w.begun, print: print}
	w.net = &network{w: w, listeners: make(map[string]*listener), dials: make(map[string]int)}
	w.dns = &resolver{w: w, asked: make(map[string]int)}
	w.oracle = &oracle{w: w}
	rnd := w.rand("disk")
	w.disk = memdisk.New(rnd.Uint64())
	w.disk.CopyOnWrite = rnd.IntN(4) == 0
	for i := range domains {
		w.addHost(fmt.Sprintf("mx%d.example", i), fmt.Sprintf("198.51.100.%d", 100+i))
	}
	for i := range senderDomains {
		w.addHost(fmt.Sprintf("mxs%d.example", i), fmt.Sprintf("198.51.100.%d", 200+i))
	}
	w.addHost("lmtp.example", "198.51.100.150").lmtp = true
	return w
}

func (w *world) addHost(name, addr string) *host {
	h := &host{w: w, name: name, machine: w.net.machine(addr)}
	w.hosts[name] = h
	h.start()
	return h
}

func (w *world) host(name string) *host { return w.hosts[name] }

// hostsOf returns the MX hosts of a domain, the preferred one first. The last two
// domains have the same hosts.
func (w *world) hostsOf(domain string) []string {
	var n int
	if k, _ := fmt.Sscanf(domain, "d%d.example", &n); k == 1 && n < domains {
		n = min(n, domains-2)
		return []string{fmt.Sprintf("mx%d.example", n), fmt.Sprintf("mx%d.example", n+1)}
	}
	if k, _ := fmt.Sscanf(domain, "send%d.example", &n); k == 1 && n < senderDomains {
		return []string{fmt.Sprintf("mxs%d.example", n)}
	}
	return nil
}

// rand returns the random numbers of one actor.
func (w *world) rand(name string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	return rand.New(rand.NewPCG(w.seed, h.Sum64()))
}

func (w *world) atEnd(f func()) { w.closers = append(w.closers, f) }

// makeTables makes the routing tables that operators choose from. The first is the one
// at the start and at the end.
func (w *world) makeTables(t *testing.T) {
	internet := routing.Connector{Name: "out", Spaces: []string{"*"}}
	renamed := internet
	renamed.Name = "internet"
	partner := routing.Connector{Name: "partner", Spaces: []string{"d3.example", "d4.example"}, SmartHosts: routing.SmartHosts("mx5.example")}
	scheduled := routing.Connector{Name: "scheduled", Spaces: []string{"d2.example", "d5.example"}}
	var err error
	if scheduled.Schedule, err = routing.ParseSchedule("00:10-00:15,00:30-00:40,02:00-23:00", time.UTC); err != nil {
		t.Fatal(err)
	}
	always := []routing.Connector{
		{Name: "lmtp", Spaces: []string{boxDomain}, SmartHosts: routing.SmartHosts("lmtp.example")},
		{Name: "etrn", Spaces: []string{etrnDomain}, SmartHosts: routing.SmartHosts("mx4.example"), Hold: true},
		{Name: "atrn", Spaces: []string{atrnDomain}, SmartHosts: routing.SmartHosts("mx5.example"), Hold: true, HoldAccounts: []string{"user"}},
	}
	for _, cs := range [][]routing.Connector{{internet}, {internet, partner}, {renamed}, {internet, scheduled}} {
		table, err := routing.NewTable(append(cs, always...)...)
		if err != nil {
			t.Fatal(err)
		}
		w.tables = append(w.tables, table)
	}
}

// running returns the relay, or nil while none runs.
func (w *world) running() *relay {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.relay
}

// run runs the world from its beginning to its end, and has the oracle judge it.
func (w *world) run(t *testing.T) {
	w.makeTables(t)
	w.net.w = w
	end := make(chan struct{})
	finished := make(chan *relay)
	go func() { finished <- w.supervise(end) }()
	var actors sync.WaitGroup
	rnd := w.rand("world")
	clients := 15 + rnd.IntN(35)
	burst, at := 0, time.Duration(rnd.Int64N(int64(faultTime)))
	if rnd.IntN(8) == 0 {
		burst = 40 // clients that come in the same second
	}
	for n := range clients + burst {
		at := at + time.Duration(rnd.Int64N(int64(time.Second)))
		if n < clients {
			at = time.Duration(rnd.Int64N(int64(faultTime)))
		}
		actors.Go(func() {
			time.Sleep(at)
			newClient(w, n).run()
		})
	}
	actors.Go(w.operators)
	actors.Go(w.diskFaults)
	actors.Go(w.clockJumps)
	actors.Go(w.receivers)
	watched := make(chan struct{})
	go func() { defer close(watched); w.watch(end) }()
	time.Sleep(faultTime)
	w.healed.Store(true)
	w.trace.add("the world heals")
	actors.Wait()
	w.settle()
	close(end)
	r := <-finished
	<-watched
	w.oracle.bounds(r)
	for _, f := range w.closers {
		f()
	}
	w.hostsDone.Wait()
}

// settle waits until the queue is empty, and has the oracle judge.
func (w *world) settle() {
	for begun := time.Now(); ; time.Sleep(time.Minute) {
		r := w.running()
		if r == nil {
			continue
		}
		w.resume(r)
		r.router.ETRN(context.Background(), "", etrnDomain)
		r.router.ETRN(context.Background(), "user", atrnDomain)
		left := 0
		for info, err := range r.queue.Messages(context.Background(), queue.Filter{}) {
			if err != nil || info.Status != queue.MessageBad {
				left++
			}
		}
		if left == 0 || time.Since(begun) > healTime {
			w.trace.add("%d messages are left", left)
			w.oracle.judge(r)
			return
		}
	}
}

// supervise runs relays, one after the other, until the world ends. It returns the last
// one.
func (w *world) supervise(end chan struct{}) *relay {
	rnd := w.rand("supervisor")
	var old []*relay
	defer func() {
		for _, r := range old {
			<-r.ended
		}
	}()
	for life := 1; ; life++ {
		r, err := w.start(life)
		if err != nil {
			w.trace.add("the relay cannot start: %v", err)
			select {
			case power := <-r.died: // while it started
				w.died(r, power)
				w.nextDisk(r, power)
			default:
			}
			time.Sleep(30 * time.Second)
			continue
		}
		w.trace.add("relay %d starts", life)
		w.set(r)
		power, over := w.live(r, rnd, end)
		w.set(nil)
		if over {
			r.stop()
			if err := <-r.ended; err != nil {
				w.oracle.problem("the relay ends with %v", err)
			}
			r.machine.die(false)
			return r
		}
		if power != nil {
			old = append(old, r)
			w.nextDisk(r, *power)
			r.stop()
		}
		time.Sleep(time.Duration(rnd.Int64N(int64(time.Minute))))
	}
}

func (w *world) set(r *relay) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.relay = r
}

// live lets a relay live until the world ends (over), it dies (power is not nil) or it is
// shut down.
func (w *world) live(r *relay, rnd *rand.Rand, end chan struct{}) (power *bool, over bool) {
	timer := time.NewTimer(w.plan(r, rnd))
	defer timer.Stop()
	select {
	case <-end:
		return nil, true
	case p := <-r.died:
		w.died(r, p)
		return &p, false
	case <-timer.C:
	}
	w.trace.add("relay %d is shut down", r.life)
	r.stop()
	var err error
	select {
	case err = <-r.ended:
	case p := <-r.died:
		w.died(r, p)
		return &p, false
	}
	w.died(r, false)
	if err != nil {
		w.trace.add("relay %d ends with an error", r.life)
	}
	r.machine.die(false)
	return nil, false
}

func (w *world) died(r *relay, power bool) {
	w.trace.add("relay %d has ended (power failure %v)", r.life, power)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deaths = append(w.deaths, time.Now())
}
