package queuetest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// damagedContent changes one byte of stored content, as a failing disk does. The
// store may return ErrDamaged, or set the message aside, but no wrong bytes.
func damagedContent(t *testing.T, f *fixture) {
	f.put(message("healthy"), queue.Schedule{})
	for i, size := range []int{300, 100 << 10, 400 << 10} {
		for j, at := range []int{0, size / 2, size - 100} {
			id := fmt.Sprintf("damaged-%d-%d", i, j)
			m := message(id)
			text := randomText(size)
			m.Content = queue.Bytes(text)
			f.put(m, queue.Schedule{})
			f.damage(text[at:])
			f.checkContent(id, text)
		}
	}
	for _, m := range f.claim(claim("a", 0, 100)) {
		if m.ID == "healthy" {
			sameMessage(t, "damage of one message does not change others", m, message("healthy"))
			return
		}
	}
	t.Fatalf("damage of one message does not change others: Claim does not return the message that is not damaged")
}

// checkContent reads the content of a message that is damaged.
func (f *fixture) checkContent(id string, text []byte) {
	f.t.Helper()
	m, err := f.st.Get(ctx, id)
	if err != nil {
		if !damageError(err) {
			f.t.Fatalf("Get of a damaged message returns ErrDamaged, ErrNotFound if it was set aside, or the message: Get %s returned %v", id, err)
		}
		return
	}
	const rule = "Content never returns wrong bytes: if the stored bytes have changed, %s returns ErrDamaged; %s of %s returned %v and bytes that were not put"
	var b bytes.Buffer
	if _, err := m.Content.WriteTo(&b); err == nil && !bytes.Equal(b.Bytes(), text) || err != nil && !damageError(err) {
		f.t.Fatalf(rule, "WriteTo", "WriteTo", id, err)
	}
	for off := 0; off < len(text); off += 20 << 10 {
		p := make([]byte, min(20<<10, len(text)-off))
		if _, err := m.Content.ReadAt(p, int64(off)); err == nil && !bytes.Equal(p, text[off:off+len(p)]) || err != nil && !damageError(err) {
			f.t.Fatalf(rule, "ReadAt", "ReadAt", id, err)
		}
	}
}

func damageError(err error) bool {
	return errors.Is(err, queue.ErrDamaged) || errors.Is(err, queue.ErrNotFound)
}

// damagedEnvelope changes one byte of a stored address. The mail must not be sent
// from or to another address.
func damagedEnvelope(t *testing.T, f *fixture) {
	sender, recipient := string(randomText(64))+"@example.org", string(randomText(64))+"@example.net"
	want := func(id string) *queue.Message {
		m := message(id)
		if id != "healthy" {
			m.From, m.Recipients[0].Addr = sender+id, recipient+id
		}
		return m
	}
	for _, id := range []string{"from", "healthy", "to"} {
		f.put(want(id), queue.Schedule{})
	}
	f.damage([]byte(sender + "from"))
	f.damage([]byte(recipient + "to"))
	const rule = "if an envelope cannot be read, Claim does not return the message, and continues with the next; no envelope is returned with wrong values"
	for _, id := range []string{"from", "to"} {
		if m, err := f.st.Get(ctx, id); err == nil {
			sameMessage(t, rule, m, want(id))
		} else if !damageError(err) {
			t.Fatalf("Get of a damaged message returns ErrDamaged, ErrNotFound if it was set aside, or the message: Get %s returned %v", id, err)
		}
	}
	healthy := false
	for _, m := range f.claim(claim("a", 0, 100)) {
		sameMessage(t, rule, m, want(m.ID))
		healthy = healthy || m.ID == "healthy"
	}
	if !healthy {
		t.Fatalf("%s: Claim does not return the message that is not damaged", rule)
	}
}

// randomText returns n bytes that are stored nowhere else.
func randomText(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = "0123456789abcdef"[rand.IntN(16)]
	}
	return b
}

// damage changes one of the first bytes of text where it is stored, while the
// store is closed.
func (f *fixture) damage(text []byte) {
	f.t.Helper()
	if err := f.st.Close(); err != nil {
		f.t.Fatalf("Close of an open store returns no error: %v", err)
	}
	before := text[:min(64, len(text))]
	after := bytes.Clone(before)
	after[len(after)/2] ^= 1
	if f.c.Damage != nil {
		f.c.Damage(f.t, f.dir, before, after)
	} else if n := replaceInFiles(f.t, f.dir, before, after); n == 0 {
		f.t.Fatalf("the store does not store the bytes of messages as they are in files of its directory: set Config.Damage to a function that changes them")
	}
	open := func() queue.Store { return f.c.Open(f.t, f.dir) }
	f.open("a store with a damaged message can be opened, and sets the message aside", open)
}

// replaceInFiles replaces a sequence of bytes in all files of a directory by
// another one of the same length. It returns how often.
func replaceInFiles(t *testing.T, dir string, before, after []byte) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(name)
		if err != nil || !bytes.Contains(b, before) {
			return err
		}
		n += bytes.Count(b, before)
		return os.WriteFile(name, bytes.ReplaceAll(b, before, after), 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
