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

// Tracking writes a line for each action of a rule on a message, and one for
// the recipients that a rule did not hold for, as comma-separated values:
//
//	Date-Time,Message-Id,Rule-Name,Details,Action,From-Address,Recipient-Address
//
// Date-Time is in UTC. Details are the values of the action, Recipient-Address
// the recipients, each separated by ";". For recipients that the rule does
// not hold for, Action is NoAction. Values are escaped as in the message
// tracking log (see queue/tracking). One Tracking may serve several Rules; it
// is safe for concurrent use. Its files are only for the owner to read. Where
// one cannot be written (a full disk), lines are missing, but none is broken.
type Tracking struct {
	// Dir is the folder for the files, RulesTracking20061121-1.csv and so on.
	// It is made when it is not there.
	Dir string
	// Sender, where it is not empty, is the one reverse-path whose mail is
	// tracked.
	Sender string
	// MaxFile and MaxDir bound one file and all of them, in bytes; the oldest
	// files are removed for a new one. Defaults 10 MB and 250 MB, as for
	// Exchange's message tracking.
	MaxFile, MaxDir int64

	mu    sync.Mutex // guards files
	files *logfile.Files
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
			MaxSize: size, MaxAge: math.MaxInt64, MaxDir: max(all-size, 1), // beside the present file
		}
	}
	_, err := t.files.Write(append(line, "\r\n"...))
	return err
}

// maxCell bounds a value, in bytes.
const maxCell = 8 << 10

// Close closes the file that is open. Writing opens a new one.
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
