package pipetrace

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
)

// A Tracer traces the messages of one sender. It may wrap the agents of
// several servers and the hooks of their queue. The fields must not change
// once it is in use.
type Tracer struct {
	// Dir is the folder for MessageSnapshots; it is made when it is not there.
	Dir string
	// Sender is the reverse-path to trace, "<>" for the null one. Domains are
	// compared as domains, local parts in upper or lower case.
	Sender string
	// Duration is for how long it traces, from Wrap or WrapHooks on.
	// Default one hour.
	Duration time.Duration
	// MaxMessages bounds the messages that it traces. Default 1000.
	MaxMessages int
	// MaxDir bounds all that is in Dir, in bytes, what was there before
	// included. Default 100 MiB.
	MaxDir int64
	// Logger hears when tracing ends early; nil is silent.
	Logger *slog.Logger

	mu      sync.Mutex // guards what follows
	until   time.Time
	used    int64              // bytes in Dir
	folders map[string]*folder // by message ID
	ended   bool               // no more snapshots, whatever the reason
}

// A folder is that of one message.
type folder struct {
	path             string
	protocolID       string
	receive, routing int   // snapshots so far; guarded by Tracer.mu
	original         int64 // size of Original.eml; the session's goroutine's
}

// Validate says which setting is wrong.
func (t *Tracer) Validate() error {
	if t.Dir == "" {
		return errors.New("pipetrace: Tracer.Dir is not set")
	}
	if t.Sender != "<>" {
		if err := addr.Mailbox(t.Sender, true); err != nil {
			return fmt.Errorf("pipetrace: Tracer.Sender %q: %w", t.Sender, err)
		}
	}
	if t.Duration < 0 || t.MaxMessages < 0 || t.MaxDir < 0 {
		return errors.New("pipetrace: Tracer.Duration, MaxMessages or MaxDir is negative")
	}
	return nil
}

// start begins the time of tracing.
func (t *Tracer) start() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.until.IsZero() {
		return
	}
	d := t.Duration
	if d == 0 {
		d = time.Hour
	}
	t.until = time.Now().Add(d)
	t.folders = make(map[string]*folder)
	if err := t.Validate(); err != nil {
		t.end("the settings are wrong", err)
		return
	}
	used, err := size(t.Dir)
	if err != nil {
		t.end("the folder cannot be read", err)
	}
	t.used = used
}

// size is how many bytes the files below dir have.
func size(dir string) (n int64, err error) {
	const most = 1 << 20
	seen := 0
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if seen++; seen > most {
			return fmt.Errorf("more than %d files", most)
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	return n, err
}

// end stops tracing for good. t.mu is held.
func (t *Tracer) end(why string, err error) {
	t.ended = true
	if t.Logger != nil {
		t.Logger.Warn("pipeline tracing ends", slog.String("why", why), slog.Any("error", err))
	}
}

// wants says whether mail from that reverse-path is traced.
func (t *Tracer) wants(from string) bool {
	if from == "" || t.Sender == "<>" {
		return from == "" && t.Sender == "<>"
	}
	return addr.EqualFold(from, t.Sender)
}

// folder is the message's, made when it has none yet; nil when the message is
// not to be traced.
func (t *Tracer) folder(id, from string, protocolID func() string) *folder {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.folders[id]; f != nil || t.ended || !t.wants(from) {
		return f
	}
	most := t.MaxMessages
	if most == 0 {
		most = 1000
	}
	switch {
	case len(t.folders) >= most:
		t.end("MaxMessages", nil)
		return nil
	case time.Now().After(t.until):
		t.end("Duration", nil)
		return nil
	}
	f := &folder{path: filepath.Join(t.Dir, "MessageSnapshots", name(id)), protocolID: protocolID()}
	if err := os.MkdirAll(f.path, 0o700); err != nil {
		t.end("the folder cannot be made", err)
		return nil
	}
	t.folders[id] = f
	return f
}

// name makes a message ID the name of a folder and nothing else.
func name(id string) string {
	s := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r == '-' || r == '_' || r == '.' {
			return r
		}
		return '_'
	}, id)
	if strings.Trim(s, ".") == "" {
		s = "_" + s
	}
	return s[:min(len(s), 128)]
}

// reserve takes n bytes of MaxDir.
func (t *Tracer) reserve(n int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	most := t.MaxDir
	if most == 0 {
		most = 100 << 20
	}
	if t.ended || time.Now().After(t.until) {
		return false
	}
	if t.used+n > most {
		t.end("MaxDir", nil)
		return false
	}
	t.used += n
	return true
}

func (t *Tracer) failed(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ended {
		t.end("a snapshot cannot be written", err)
	}
}
