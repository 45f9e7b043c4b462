package peers

import (
	"bytes"
	"errors"
	"os"
	"syscall"
	"testing"
)

// What was synced survives a power cut. Of a later write survives all, a part or
// nothing, and the part has whole sectors.
func TestPowerDisk(t *testing.T) {
	d := NewPowerDisk(t, t.TempDir(), 1)
	f, err := os.OpenFile(d.Dev, os.O_RDWR, 0)
	check(t, err)
	defer f.Close()
	const size = 64 << 10
	ones, twos := bytes.Repeat([]byte{1}, size), bytes.Repeat([]byte{2}, size)
	write := func(b []byte) {
		_, err := f.WriteAt(b, 0)
		check(t, err)
	}
	seen := map[string]int{}
	for seed := range uint64(40) {
		write(ones)
		check(t, f.Sync())
		write(twos)
		d.Cut(seed)
		if _, err := f.WriteAt(ones, 0); !errors.Is(err, syscall.EIO) {
			t.Errorf("written without power: %v", err)
		}
		if err := f.Sync(); !errors.Is(err, syscall.EIO) {
			t.Errorf("synced without power: %v", err)
		}
		d.On()
		got := make([]byte, size)
		_, err := f.ReadAt(got, 0)
		check(t, err)
		switch {
		case bytes.Equal(got, ones):
			seen["nothing"]++
		case bytes.Equal(got, twos):
			seen["all"]++
		default:
			seen["a part"]++
		}
		for at := 0; at < size; at += 512 {
			if s := got[at : at+512]; !bytes.Equal(s, ones[:512]) && !bytes.Equal(s, twos[:512]) {
				t.Fatalf("seed %d: the sector at %d is % x", seed, at, s)
			}
		}
	}
	if len(seen) != 3 {
		t.Errorf("what survives of an unsynced write: %v", seen)
	}
}
