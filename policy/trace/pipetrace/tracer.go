package pipetrace

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/logfile"
)

// A Tracer traces the messages of one sender. It can wrap the agents of several
// servers and the hooks of their queue. It is safe for concurrent use; its fields
// must not change after the first use.
type Tracer struct {
	// Dir is the directory for MessageSnapshots. It is created if it does not
	// exist.
	Dir string
	// Sender is the reverse-path to trace, or "<>" for the null reverse-path. The
	// comparison ignores the letter case of the local part, and compares domains
	// in canonical form.
	Sender string
	// Duration is the maximum duration of tracing. Tracing begins with the
	// first call of Wrap, WrapHooks or WrapRouted. Default: one hour.
	Duration time.Duration
	// MaxMessages is the maximum number of messages that are traced. Default:
	// 1000.
	MaxMessages int
	// MaxDir is the maximum size of all files in Dir, in bytes. Files that
	// already exist when tracing begins count, too. Default: 100 MiB.
	MaxDir int64
	// Logger receives a warning when tracing ends, with the reason. It also
	// receives an error when snapshots cannot be written, and a line when they
	// are written again. Default: that of the gateway.Gateway. If there is
	// none, nothing is logged.
	Logger *slog.Logger

	writing sync.Mutex   // one snapshot is written at a time
	loss    logfile.Loss // guarded by writing

	mu      sync.Mutex // guards the fields below
	until   time.Time
	used    int64              // bytes in Dir
	folders map[string]*folder // by message ID
	ended   bool               // tracing has ended
	why     string             // it has ended
}

// A folder is the directory of one message.
type folder struct {
	path             string
	protocolID       string
	receive, routing int    // number of snapshots; guarded by Tracer.mu
	original         stored // Original.eml; used only by the session's goroutine
}

// Validate returns an error if a setting is invalid. If a setting is invalid, Wrap
// logs the error and nothing is traced.
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

// start starts Duration, at the first call.
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
	t.loss = logfile.Loss{Log: "pipeline trace", Unit: "snapshots"}
	if err := t.Validate(); err != nil {
		t.end("the settings are invalid", err)
		return
	}
	used, err := size(t.Dir)
	if err != nil {
		t.end("the directory cannot be read", err)
	}
	t.used = used
}

// size returns the total size of the files below dir.
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

// end ends tracing. The caller holds t.mu.
func (t *Tracer) end(why string, err error) {
	t.ended, t.why = true, why
	if t.Logger == nil {
		return
	}
	log := t.Logger
	if err != nil {
		log = log.With("error", err)
	}
	log.Warn("pipeline tracing has ended", slog.String("why", why))
}

// wants reports whether messages with this reverse-path are traced.
func (t *Tracer) wants(from string) bool {
	if from == "" || t.Sender == "<>" {
		return from == "" && t.Sender == "<>"
	}
	return addr.EqualFold(from, t.Sender)
}

// folder returns the folder of a message, nil if the message is not traced. The first
// snapshot creates the directory.
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
	t.folders[id] = f
	return f
}

// name returns a safe directory name for a message ID: at most 128 letters,
// digits, "-", "_" and ".", and never "." or "..".
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

// reserve reserves n bytes of MaxDir. It reports false if tracing has ended.
func (t *Tracer) reserve(n int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended || time.Now().After(t.until) {
		return false
	}
	if t.used+n > t.maxDir() {
		t.end("MaxDir", nil)
		return false
	}
	t.used += n
	return true
}

func (t *Tracer) maxDir() int64 {
	if t.MaxDir == 0 {
		return 100 << 20
	}
	return t.MaxDir
}

// release gives back n bytes of MaxDir.
func (t *Tracer) release(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.used -= n
}
