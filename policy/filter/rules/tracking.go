package rules

import (
	"errors"
	"log/slog"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/logfile"
)

// Tracking logs the effects of rules to files with comma-separated values. It
// writes one line for each action of a rule on a message, and one line for the
// recipients that the rule does not apply to:
//
//	Date-Time,Message-Id,Rule-Name,Details,Action,From-Address,Recipient-Address
//
// Date-Time is in UTC. Details are the arguments of the action, and
// Recipient-Address the recipients, both separated by ";". For recipients that
// the rule does not apply to, Action is NoAction. Values are escaped as in the
// message tracking log (see queue/tracking).
//
// Only the owner can read the files. If a line cannot be written, for example
// because the disk is full, the line is missing, but no line is incomplete.
// Several Rules may use one Tracking. It is safe for concurrent use.
type Tracking struct {
	// Dir is the folder for the files, which have names like
	// RulesTracking20061121-1.csv. It is created if it does not exist.
	// Required.
	Dir string
	// Sender limits tracking to mail with this reverse-path. Default: all
	// mail.
	Sender string
	// MaxFile is the largest size of a file, in bytes. Default 10 MiB, as for
	// message tracking in Exchange.
	MaxFile int64
	// MaxDir is the largest size of all files together, in bytes. The oldest
	// files are removed. Default 250 MiB, as for message tracking in Exchange.
	MaxDir int64

	mu    sync.Mutex // guards files
	files *logfile.Files
}

// The values for a rule that does not apply, as in Exchange.
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

// track writes a line. An error is logged and does not stop the message.
func (r *Rules) track(m *Mail, from string, rule *Rule, a *Action, rcpts []string) {
	t := r.Tracking
	if t == nil || len(rcpts) == 0 || t.Sender != "" && !addr.EqualFold(t.Sender, from) {
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
	line := []byte(at.Format("2006-01-02T15:04:05.000Z"))
	for _, v := range values {
		line = logfile.AppendCell(append(line, ','), v, maxCell)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.files == nil {
		size, all := orDefault(t.MaxFile, 10<<20), orDefault(t.MaxDir, 250<<20)
		t.files = &logfile.Files{
			Dir: t.Dir, Prefix: "RulesTracking", Suffix: ".csv", Header: columns, Private: true,
			MaxSize: size, MaxAge: math.MaxInt64, MaxDir: max(all-size, 1), // in addition to the current file
		}
	}
	_, err := t.files.Write(append(line, "\r\n"...))
	return err
}

// maxCell is the largest length of a value, in bytes.
const maxCell = 8 << 10

// Close closes the current file. The next line opens a new file.
func (t *Tracking) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.files == nil {
		return nil
	}
	err := t.files.Close()
	t.files = nil
	return err
}

func orDefault(n, def int64) int64 {
	if n == 0 {
		return def
	}
	return n
}
