package simulation

import (
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/memdisk"
)

// A diskState is what is wrong with the disk at present. The next process finds it too.
type diskState struct {
	full  bool
	every int // each n-th call fails; 0 means that no call fails
	calls int
}

// A trouble is a time in which the disk was full or failed.
type trouble struct{ from, to time.Time }

// diskFaults fills the disk now and then, and lets calls fail.
func (w *world) diskFaults() {
	rnd := w.rand("disk faults")
	if rnd.IntN(2) == 0 {
		return // a healthy disk
	}
	for {
		time.Sleep(time.Duration(rnd.Int64N(int64(15 * time.Minute))))
		if w.healed.Load() {
			return
		}
		from, took := time.Now(), time.Duration(rnd.Int64N(int64(3*time.Minute)))
		state := diskState{full: true}
		if rnd.IntN(2) == 0 {
			state = diskState{every: 3 + rnd.IntN(300)}
		}
		w.trace.add("disk: full %v, every call %d fails, for %v", state.full, state.every, took)
		w.mu.Lock()
		w.troubles = append(w.troubles, trouble{from, from.Add(took)})
		w.mu.Unlock()
		w.setDisk(state, rnd.Int64N(20000))
		time.Sleep(took)
		w.setDisk(diskState{}, 0)
	}
}

// setDisk sets the state of the disk. A full disk has some bytes left.
func (w *world) setDisk(s diskState, left int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.disk.Lock()
	defer w.disk.Unlock()
	w.diskState, w.disk.Capacity = s, 0
	if s.full {
		w.disk.Capacity = w.disk.Used() + left
	}
}

// diskFailed reports whether the disk failed in a period, or shortly before it.
func (w *world) diskFailed(from, to time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.troubles {
		if t.from.Before(to.Add(time.Second)) && from.Before(t.to.Add(5*time.Second)) {
			return true
		}
	}
	return false
}

// useDisk gives a process the disk. Its calls fail as the state of the disk says, and the
// process can die at a call.
func (w *world) useDisk(r *relay) {
	r.disk.Lock()
	defer r.disk.Unlock()
	r.disk.Fail = func(_ int, op, name string) error {
		if r.diskCalls.Add(-1) == 0 && !w.healed.Load() {
			r.kill()
			return memdisk.ErrDied
		}
		if s := &w.diskState; s.every > 0 && op != "read" { // the lock of the disk guards it
			if s.calls++; s.calls%s.every == 0 {
				return syscall.EIO
			}
		}
		return nil
	}
}

// nextDisk replaces the disk of a dead process by the one that the next process finds.
func (w *world) nextDisk(r *relay, power bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if power {
		w.disk = r.disk.PowerFails()
	} else {
		w.disk = r.disk.ProcessDies()
	}
}

// plan decides how a relay will end: at a call of the disk or of the network, at some
// moment, or by a shutdown after the time that plan returns.
func (w *world) plan(r *relay, rnd *rand.Rand) time.Duration {
	const never = 1000 * time.Hour
	if w.healed.Load() {
		return never
	}
	r.power = rnd.IntN(2) == 0
	after, calls := time.Duration(rnd.Int64N(int64(faultTime/2))), 1+rnd.Int64N(3000)
	switch rnd.IntN(6) {
	case 0:
		return after
	case 1:
		r.diskCalls.Store(calls)
	case 2:
		r.machine.calls.Store(calls)
	case 3:
		w.hostsDone.Go(func() {
			time.Sleep(after)
			r.crash()
		})
	case 4:
		r.dyingIn.Store(1 + rnd.Int64N(40))
	}
	return never
}
