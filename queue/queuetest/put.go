package queuetest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/queue"
)

func putAndClaim(t *testing.T, f *fixture) {
	m := full("m1")
	f.put(m, queue.Schedule{})
	ms := f.claim(claim("a", 0, 10))
	sameIDs(t, claimsDue, ms, "m1")
	sameMessage(t, "Claim returns each field of the message as it was put (Result.Err by its text)", ms[0], full("m1"))
	sameIDs(t, exclusive, f.claim(claim("b", time.Second, 10)))
}

func putTwice(t *testing.T, f *fixture) {
	f.put(message("m1"), queue.Schedule{})
	if err := f.st.Put(ctx, message("m1"), queue.Schedule{}); !errors.Is(err, queue.ErrExists) {
		t.Fatalf("Put returns ErrExists if the ID is in the store: %v", err)
	}
	sameIDs(t, "a Put that returns ErrExists does not change the store", f.claim(claim("a", 0, 10)), "m1")
	// The ID is free again when the message has ended.
	f.remove("a", "m1")
	f.put(message("m1"), queue.Schedule{})
	sameIDs(t, "an ID can be put again after its message was removed", f.claim(claim("a", 0, 10)), "m1")
}

func putBadIDs(t *testing.T, f *fixture) {
	for _, id := range []string{"", "a b", "a/b", "../x", "ä", "a\x00", strings.Repeat("x", 65)} {
		if err := f.st.Put(ctx, message(id), queue.Schedule{}); err == nil {
			t.Errorf("Put refuses an ID that queue.ValidID refuses: it took %q", id)
		}
	}
	for _, id := range []string{"x", "A-z_0.9", "..", strings.Repeat("x", 64)} {
		f.put(message(id), queue.Schedule{})
		if m := f.get(id); m.ID != id {
			t.Errorf("Get returns the message with this ID: Get %s returned %s", id, m.ID)
		}
	}
}

func putKeepsACopy(t *testing.T, f *fixture) {
	m := message("m1")
	f.put(m, queue.Schedule{})
	m.From, m.Recipients[0].Addr, m.Recipients[1].Status = "changed", "changed", queue.Failed
	m.Recipients = m.Recipients[:1]
	got := f.get("m1")
	sameMessage(t, "Put does not keep m: the caller may change it afterwards", got, message("m1"))
	got.Recipients[0].Addr = "changed again"
	sameMessage(t, "the caller may change a message that Get or Claim returned; the store does not change", f.get("m1"), message("m1"))
}

func putUnderLease(t *testing.T, f *fixture) {
	m := message("m1")
	f.put(m, queue.Schedule{Owner: "a", Until: at(lease)})
	sameIDs(t, "after Put with an Owner the message is leased", f.claim(claim("b", 0, 10)))
	if got := read(t, hasBytes, m.Content); got != read(t, hasBytes, message("m1").Content) {
		t.Fatalf("after Put with an Owner, m.Content has the bytes that were put: %q", got)
	}
	m.Recipients[0].Status = queue.Delivered
	f.update("a", m, queue.Schedule{Due: at(lease)})
	sameIDs(t, exclusive, f.claim(claim("b", lease-1, 10)))
	ms := f.claim(claim("b", lease, 10))
	sameIDs(t, claimsDue, ms, "m1")
	if ms[0].Recipients[0].Status != queue.Delivered {
		t.Fatal("Update records m.Recipients: the status that was recorded under the lease of Put is lost")
	}
}

func putCancelled(t *testing.T, f *fixture) {
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if err := f.st.Put(cancelled, message("m1"), queue.Schedule{}); !errors.Is(err, context.Canceled) {
		t.Fatalf("Put returns the error of its context if that has ended before: %v, want context.Canceled", err)
	}
	sameIDs(t, "after an error of Put the message is not in the queue", f.claim(claim("a", 0, 10)))
}

const hasBytes = "Content has the bytes that were put"

// putFile stores messages whose content is in a file. The file may be closed
// when Put has returned: neither the store nor the leased message needs it.
func putFile(t *testing.T, f *fixture) {
	for i, size := range []int{100, 300 << 10} {
		b := bytes.Repeat([]byte("0123456789abcde\n"), size/16)
		file, err := os.CreateTemp(t.TempDir(), "")
		if err == nil {
			_, err = file.Write(b)
		}
		if err != nil {
			t.Fatal(err)
		}
		m := message("file-" + string(rune('a'+i)))
		m.Content = content.Join(content.Of([]byte("Received: x\r\n")), content.Section(file, 0, int64(len(b))))
		f.put(m, queue.Schedule{Owner: "a", Until: at(lease)})
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		want := "Received: x\r\n" + string(b)
		if read(t, hasBytes, m.Content) != want {
			t.Fatalf("Put replaces m.Content by an equal one that does not need the file: with %d bytes in a file, m.Content has other bytes", size)
		}
		if read(t, hasBytes, f.get(m.ID).Content) != want {
			t.Fatalf("Content has the bytes that were put, also when the file they came from is closed: with %d bytes in a file, it has others", size)
		}
	}
}

// contents stores messages of many sizes, in several chunks, and reads them back
// whole and in pieces.
func contents(t *testing.T, f *fixture) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for i, size := range []int{0, 1, 7, 8, 100, 4000, 4096, 65535, 65536, 65537, 262143, 262144, 262145, 3 << 20} {
		b := make([]byte, size)
		for j := range b {
			b[j] = byte(rnd.Uint32())
		}
		cut := size / 3
		m := message("size-" + string(rune('a'+i)))
		m.Content = content.Of(b[:cut], b[cut:])
		f.put(m, queue.Schedule{Owner: "a", Until: at(lease)})
		if read(t, hasBytes, m.Content) != string(b) {
			t.Fatalf("after Put, m.Content has the bytes that were put: with %d bytes, it has others", size)
		}
		got := f.get(m.ID).Content
		if read(t, hasBytes, got) != string(b) {
			t.Fatalf("Content has the bytes that were put: with %d bytes, it has others", size)
		}
		for range 20 {
			off := rnd.IntN(size + 1)
			p := make([]byte, rnd.IntN(size-off+1))
			if n, err := got.ReadAt(p, int64(off)); n != len(p) || string(p) != string(b[off:off+n]) {
				t.Fatalf("ReadAt returns the bytes at its offset and fills its buffer, as io.ReaderAt: ReadAt(%d bytes, %d) of a content of %d bytes returned %d, %v, or wrong bytes", len(p), off, size, n, err)
			}
		}
	}
}
