package pipetrace

import (
	"bufio"
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
	t.write(f, fmt.Sprintf("SmtpReceive%04d.eml", t.count(&f.receive)), source, v, 0)
}

// routing writes the next Routing snapshot.
func (t *Tracer) routing(f *folder, source string, v view) {
	t.write(f, fmt.Sprintf("Routing%04d.eml", t.count(&f.routing)), source, v, 0)
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

// write writes a file and returns its size. It replaces the file if it exists; was
// is the size of the old file.
func (t *Tracer) write(f *folder, file, source string, v view, was int64) int64 {
	head := header(f, source, v)
	n := int64(len(head)) + v.size
	if !t.reserve(n - was) {
		return was
	}
	if err := writeFile(filepath.Join(f.path, file), head, v.content); err != nil {
		t.failed(err)
	}
	return n
}

func writeFile(path, head string, content io.WriterTo) error {
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

func header(f *folder, source string, v view) string {
	var b strings.Builder
	line := func(name, value string) { b.WriteString(name + ": " + chars.OneLine(value) + "\r\n") }
	line("X-CreatedBy", "MessageSnapshot-Begin injected headers")
	line("X-MessageSnapshot-UTC-Time", time.Now().UTC().Format(utc))
	line("X-MessageSnapshot-Protocol-Id", f.protocolID)
	line("X-MessageSnapshot-Source", source)
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
