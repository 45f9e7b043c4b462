package rules

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Tracking writes a line for each action of a rule on a message, and one for
// the recipients that a rule did not hold for, as comma-separated values:
//
//	Date-Time,Message-Id,Rule-Name,Details,Action,From-Address,Recipient-Address
//
// Date-Time is in UTC. Details are the values of the action, Recipient-Address
// the recipients, each separated by ";". For recipients that the rule does
// not hold for, Action is NoAction. One Tracking may serve several Rules; it
// is safe for concurrent use. Its files are only for the owner to read.
type Tracking struct {
	// Dir is the folder for the files, RulesTracking20061121-1.csv and so on.
	// It is made when it is not there.
	Dir string
	// Sender, where it is not empty, is the one reverse-path whose mail is
	// tracked.
	Sender string
	// MaxFile and MaxDir bound one file and all of them, in bytes; the oldest
	// file is removed for a new one. Defaults 10 MB and 250 MB, as for
	// Exchange's message tracking.
	MaxFile, MaxDir int64

	mu   sync.Mutex // guards what follows
	file *os.File
	size int64
	day  string
}

// NoAction and what goes with it, as Exchange has them.
const (
	noAction = "NoAction"
	skipped  = "Conditions evaluated to false. Rule skipped."
	columns  = "Date-Time,Message-Id,Rule-Name,Details,Action,From-Address,Recipient-Address\r\n"
)

func (t *Tracking) validate() error {
	if t.Dir == "" {
		return errors.New("rules: Tracking.Dir is not set")
	}
	if t.MaxFile < 0 || t.MaxDir < 0 {
		return errors.New("rules: Tracking.MaxFile or MaxDir is negative")
	}
	return nil
}

// track writes a line. What cannot be written is told to the log: mail does
// not wait for it.
func (r *Rules) track(m *Mail, from string, rule *Rule, a *Action, rcpts []string) {
	t := r.Tracking
	if t == nil || len(rcpts) == 0 || t.Sender != "" && !strings.EqualFold(t.Sender, from) {
		return
	}
	details, action := skipped, noAction
	if a != nil {
		details, action = a.details, a.name
	}
	if err := t.write(time.Now().UTC(), m.Message.Header.Get("Message-ID"), rule.Name, details, action, from, strings.Join(rcpts, ";")); err != nil && r.Logger != nil {
		r.Logger.Error("rules tracking failed", slog.Any("error", err))
	}
}

func (t *Tracking) write(at time.Time, values ...string) error {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.UseCRLF = true
	record := append([]string{at.Format("2006-01-02T15:04:05.000Z")}, values...)
	for i, v := range record {
		record[i] = oneLine(v)
	}
	if err := w.Write(record); err != nil {
		return err
	}
	w.Flush()
	t.mu.Lock()
	defer t.mu.Unlock()
	if day := at.Format("20060102"); t.file == nil || t.day != day || t.size+int64(b.Len()) > orDefault(t.MaxFile, 10<<20) {
		if err := t.next(day); err != nil {
			return err
		}
	}
	n, err := t.file.Write(b.Bytes())
	t.size += int64(n)
	return err
}

// oneLine keeps a value from breaking the line, and from filling the file.
func oneLine(v string) string {
	v = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, v)
	const most = 8 << 10
	if len(v) > most {
		v = strings.ToValidUTF8(v[:most], "") + "..."
	}
	return v
}

// next begins a new file, after it has made room for it.
func (t *Tracking) next(day string) error {
	if t.file != nil {
		t.file.Close()
		t.file = nil
	}
	if err := os.MkdirAll(t.Dir, 0o700); err != nil {
		return err
	}
	if err := t.makeRoom(); err != nil {
		return err
	}
	for i := 1; i < 1<<20; i++ {
		f, err := os.OpenFile(filepath.Join(t.Dir, fmt.Sprintf("RulesTracking%s-%d.csv", day, i)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		n, err := f.WriteString(columns)
		t.file, t.size, t.day = f, int64(n), day
		return err
	}
	return fmt.Errorf("too many files in %s", t.Dir)
}

// makeRoom removes the oldest files until a whole new one fits.
func (t *Tracking) makeRoom() error {
	type old struct {
		path string
		info fs.FileInfo
	}
	entries, err := os.ReadDir(t.Dir)
	if err != nil {
		return err
	}
	var files []old
	var total int64
	for _, e := range entries {
		if ok, _ := filepath.Match("RulesTracking*.csv", e.Name()); !ok {
			continue
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			files = append(files, old{filepath.Join(t.Dir, e.Name()), info})
			total += info.Size()
		}
	}
	slices.SortFunc(files, func(a, b old) int { return a.info.ModTime().Compare(b.info.ModTime()) })
	for _, f := range files {
		if total+orDefault(t.MaxFile, 10<<20) <= orDefault(t.MaxDir, 250<<20) {
			break
		}
		if err := os.Remove(f.path); err != nil {
			return err
		}
		total -= f.info.Size()
	}
	return nil
}

// Close closes the file that is open. Writing opens a new one.
func (t *Tracking) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.file == nil {
		return nil
	}
	err := t.file.Close()
	t.file = nil
	return err
}

func orDefault(n, def int64) int64 {
	if n == 0 {
		return def
	}
	return n
}
