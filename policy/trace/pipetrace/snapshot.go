package pipetrace

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/chars"
)

const utc = "2006-01-02T15:04:05.000Z"

// original is the agent name in the Source of a snapshot before an event.
const original = "Original"

// A view has the parts of a message that a snapshot contains.
type view struct {
	from    string
	rcpts   []string
	content io.WriterTo
	size    int64
}

// receive writes the next SmtpReceive snapshot.
func (t *Tracer) receive(f *folder, source string, v view) {
	t.write(f, fmt.Sprintf("SmtpReceive%04d.eml", t.count(&f.receive)), source, v, stored{})
}

// routing writes the next Routing snapshot.
func (t *Tracer) routing(f *folder, source string, v view) {
	t.write(f, fmt.Sprintf("Routing%04d.eml", t.count(&f.routing)), source, v, stored{})
}

func (t *Tracer) count(n *int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	*n++
	return *n
}

// first writes Original.eml. It is called again when the body has been received.
func (t *Tracer) first(f *folder, v view) {
	f.original = t.write(f, "Original.eml", original, v, f.original)
}

// stored describes a snapshot that was written. The zero value means none.
type stored struct {
	size    int64
	dropped string // its field X-MessageSnapshot-Dropped
}

// write writes a snapshot. It replaces the file if it exists; was describes the old
// file. A snapshot that cannot be written is lost, and the next one has the number of
// those that were lost.
func (t *Tracer) write(f *folder, file, source string, v view, was stored) stored {
	t.writing.Lock()
	defer t.writing.Unlock()
	dropped := cmp.Or(t.loss.Dropped(), was.dropped)
	head := header(f, source, v, dropped)
	n := int64(len(head)) + v.size
	if !t.reserve(n - was.size) {
		return was
	}
	path := filepath.Join(f.path, file)
	err := writeFile(path, head, v.content)
	t.loss.Written(1, err, t.Logger)
	if err != nil {
		os.Remove(path) // part of it may have been written
		t.release(n)
		return stored{}
	}
	return stored{n, dropped}
}

func writeFile(path, head string, content io.WriterTo) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	w.WriteString(head) // Flush returns the error, if any
	_, err = content.WriteTo(w)
	if err == nil {
		err = w.Flush()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

func header(f *folder, source string, v view, dropped string) string {
	var b strings.Builder
	line := func(name, value string) { b.WriteString(name + ": " + chars.OneLine(value) + "\r\n") }
	line("X-CreatedBy", "MessageSnapshot-Begin injected headers")
	line("X-MessageSnapshot-UTC-Time", time.Now().UTC().Format(utc))
	line("X-MessageSnapshot-Protocol-Id", f.protocolID)
	line("X-MessageSnapshot-Source", source)
	if dropped != "" {
		line("X-MessageSnapshot-Dropped", dropped)
	}
	from := v.from
	if from == "" {
		from = "<>"
	}
	line("X-Sender", from)
	for _, r := range v.rcpts {
		line("X-Receiver", r)
	}
	line("X-EndOfInjectedXHeaders", "MessageSnapshot-End injected headers")
	return b.String()
}
