package tracking

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/logfile"
	"github.com/bridgehead-mail/bridgehead/internal/wildcard"
)

// timeLayout is the layout that protolog.FormatTime writes.
const timeLayout = "2006-01-02T15:04:05.000Z"

// A Filter selects lines of the log. A line is selected if it matches all fields
// that are not zero. The comparison ignores case. In a string, '*' matches any
// sequence of characters.
type Filter struct {
	Sender    string // the reverse-path
	Recipient string // any recipient of the line
	MessageID string // the Message-ID field, with or without angle brackets
	ID        string // the message's ID in the queue, or the column reference
	Subject   string
	Event     string // the name of the event: RECEIVE, SEND, ...
	// Labels selects the lines of messages that have all of these labels.
	Labels map[string]string

	// Since and Until are the earliest and the latest time.
	Since, Until time.Time
}

// An Entry is one line of the log.
type Entry struct {
	Time       time.Time
	Event      string // the name of the event: RECEIVE, SEND, ...
	ID         string // of the message in the queue
	MessageID  string // the Message-ID field
	Sender     string // the reverse-path
	Recipients []string
	Labels     map[string]string // of the message: queue.MessageOptions
	// Columns has all columns of the line, by their names.
	Columns map[string]string
}

// Search reads the log in the folder dir, from the oldest line to the newest, and
// yields the entries that f selects. For a line that cannot be read it yields an
// error with the name of the file and the number of the line. If the caller goes
// on, Search goes on with the next line. It may run while a Log writes to the folder.
func Search(dir string, f Filter) iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		files, err := logFiles(dir, f.Since)
		if err != nil {
			yield(nil, fmt.Errorf("tracking: %w", err))
			return
		}
		for _, file := range files {
			if !searchFile(file.path, &f, yield) {
				return
			}
		}
	}
}

// searchFile yields the entries of one file that f selects. It returns false if
// the caller ends the search.
func searchFile(name string, f *Filter, yield func(*Entry, error) bool) bool {
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return true // the log has removed it meanwhile
	}
	if err != nil {
		return yield(nil, fmt.Errorf("tracking: %w", err))
	}
	defer file.Close()
	r := csv.NewReader(file)
	r.Comment = '#'
	r.FieldsPerRecord = -1 // entry checks the number
	for {
		fields, err := r.Read()
		if err == io.EOF {
			return true
		}
		var e *Entry
		if err == nil {
			line, _ := r.FieldPos(0)
			e, err = entry(fields, line)
		}
		if err != nil {
			if !yield(nil, fmt.Errorf("tracking: %s: %w", name, err)) {
				return false
			}
			var pe *csv.ParseError
			if !errors.As(err, &pe) {
				return true
			}
			continue
		}
		if f.selects(e) && !yield(e, nil) {
			return false
		}
	}
}

// entry returns the entry of a line. An earlier version did not write custom-data.
func entry(fields []string, line int) (*Entry, error) {
	if len(fields) != len(columns) && len(fields) != customData {
		return nil, &csv.ParseError{StartLine: line, Line: line, Column: 1, Err: csv.ErrFieldCount}
	}
	e := &Entry{Columns: make(map[string]string, len(columns))}
	for i, field := range fields {
		e.Columns[columns[i]] = logfile.Cell(field)
	}
	var err error
	if e.Time, err = time.Parse(timeLayout, e.Columns["date-time"]); err != nil {
		return nil, &csv.ParseError{StartLine: line, Line: line, Column: 1, Err: err}
	}
	e.Event, e.ID = e.Columns["event-id"], e.Columns["internal-message-id"]
	e.MessageID, e.Sender = e.Columns["message-id"], e.Columns["sender-address"]
	e.Recipients = addresses(e.Columns["recipient-address"])
	e.Labels = parseLabels(e.Columns["custom-data"])
	return e, nil
}

// addresses returns the addresses in a list that is separated by semicolons. A
// semicolon in quotes does not separate.
func addresses(s string) (list []string) {
	quoted, begin := false, 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++ // a quoted pair (RFC 5321, 4.1.2)
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ';' && !quoted:
			list, begin = append(list, s[begin:i]), i+1
		}
	}
	if s == "" {
		return nil
	}
	return append(list, s[begin:])
}

// selects reports whether the filter selects an entry.
func (f *Filter) selects(e *Entry) bool {
	if !f.Since.IsZero() && e.Time.Before(f.Since) || !f.Until.IsZero() && e.Time.After(f.Until) {
		return false
	}
	if f.Recipient != "" && !slices.ContainsFunc(e.Recipients, func(r string) bool { return wildcard.Match(f.Recipient, r) }) {
		return false
	}
	for key, pattern := range f.Labels {
		if value, ok := e.Labels[key]; !ok || !wildcard.Match(pattern, value) {
			return false
		}
	}
	return wildcard.Match(f.Sender, e.Sender) &&
		wildcard.Match(strings.Trim(f.MessageID, "<>"), strings.Trim(e.MessageID, "<>")) &&
		(wildcard.Match(f.ID, e.ID) || wildcard.Match(f.ID, e.Columns["reference"])) &&
		wildcard.Match(f.Subject, e.Columns["message-subject"]) && wildcard.Match(f.Event, e.Event)
}
