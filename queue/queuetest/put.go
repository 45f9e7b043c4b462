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
	sameIDs(t, ms, "m1")
	sameMessage(t, ms[0], full("m1"))
	sameIDs(t, f.claim(claim("b", time.Second, 10))) // leased
}

func putTwice(t *testing.T, f *fixture) {
	f.put(message("m1"), queue.Schedule{})
	if err := f.st.Put(ctx, message("m1"), queue.Schedule{}); !errors.Is(err, queue.ErrExists) {
		t.Fatalf("second Put: %v, want ErrExists", err)
	}
	sameIDs(t, f.claim(claim("a", 0, 10)), "m1")
	// The ID is free again when the message has ended.
	f.remove("a", "m1")
	f.put(message("m1"), queue.Schedule{})
	sameIDs(t, f.claim(claim("a", 0, 10)), "m1")
}

func putBadIDs(t *testing.T, f *fixture) {
	for _, id := range []string{"", "a b", "a/b", "../x", "ä", "a\x00", strings.Repeat("x", 65)} {
		if err := f.st.Put(ctx, message(id), queue.Schedule{}); err == nil {
			t.Errorf("Put took the ID %q", id)
		}
	}
	for _, id := range []string{"x", "A-z_0.9", "..", strings.Repeat("x", 64)} {
		f.put(message(id), queue.Schedule{})
		if m := f.get(id); m.ID != id {
			t.Errorf("Get %s returned %s", id, m.ID)
		}
	}
}

func putKeepsACopy(t *testing.T, f *fixture) {
	m := message("m1")
	f.put(m, queue.Schedule{})
	m.From, m.Recipients[0].Addr, m.Recipients[1].Status = "changed", "changed", queue.Failed
	m.Recipients = m.Recipients[:1]
	got := f.get("m1")
	sameMessage(t, got, message("m1"))
	got.Recipients[0].Addr = "changed again"
	sameMessage(t, f.get("m1"), message("m1"))
}

func putUnderLease(t *testing.T, f *fixture) {
	m := message("m1")
	f.put(m, queue.Schedule{Owner: "a", Until: at(lease)})
	sameIDs(t, f.claim(claim("b", 0, 10)))
	if got := read(t, m.Content); got != read(t, message("m1").Content) {
		t.Fatalf("after Put the content of the leased message is %q", got)
	}
	m.Recipients[0].Status = queue.Delivered
	f.update("a", m, queue.Schedule{Due: at(lease)})
	sameIDs(t, f.claim(claim("b", lease-1, 10)))
	ms := f.claim(claim("b", lease, 10))
	sameIDs(t, ms, "m1")
	if ms[0].Recipients[0].Status != queue.Delivered {
		t.Fatal("the update under the first lease is lost")
	}
}

func putCancelled(t *testing.T, f *fixture) {
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if err := f.st.Put(cancelled, message("m1"), queue.Schedule{}); !errors.Is(err, context.Canceled) {
		t.Fatalf("Put: %v, want context.Canceled", err)
	}
	sameIDs(t, f.claim(claim("a", 0, 10)))
}

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
		if read(t, m.Content) != want {
			t.Fatalf("%d bytes in a file: the content of the leased message changed", size)
		}
		if read(t, f.get(m.ID).Content) != want {
			t.Fatalf("%d bytes in a file: read other bytes than were put", size)
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
		if read(t, m.Content) != string(b) {
			t.Fatalf("%d bytes: the content of the leased message changed", size)
		}
		got := f.get(m.ID).Content
		if read(t, got) != string(b) {
			t.Fatalf("%d bytes: read other bytes than were put", size)
		}
		for range 20 {
			off := rnd.IntN(size + 1)
			p := make([]byte, rnd.IntN(size-off+1))
			if n, err := got.ReadAt(p, int64(off)); n != len(p) || string(p) != string(b[off:off+n]) {
				t.Fatalf("%d bytes: ReadAt %d of %d: %d, %v", size, off, len(p), n, err)
			}
		}
	}
}
