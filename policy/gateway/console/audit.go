package console

import (
	"encoding/json"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/logfile"
)

const (
	// auditKept is the number of entries in memory.
	auditKept = 1000
	// auditValues is the maximum number of values of one parameter in an entry,
	// and auditText the maximum length of a text in bytes.
	auditValues = 20
	auditText   = 1000
	// auditAge is how long the files are kept.
	auditAge = 366 * 24 * time.Hour
)

// An auditEntry is the record of one action.
type auditEntry struct {
	ID         int64               `json:"id"`
	Time       time.Time           `json:"time"`
	Name       string              `json:"name" doc:"Who did it: the name that Authorize returned, token, or the user ID of a client of the socket."`
	Role       Role                `json:"role"`
	Client     string              `json:"client,omitempty" doc:"The address of the client."`
	Path       string              `json:"path" doc:"The path of the action."`
	Action     string              `json:"action" doc:"What it does, in words."`
	Parameters map[string][]string `json:"parameters,omitempty" doc:"The parameters, with at most 20 values of each."`
	Reason     string              `json:"reason"`
	Result     string              `json:"result" doc:"begun, done or failed."`
	Count      int                 `json:"count" doc:"The number of messages (or other things) that it has changed."`
	Skipped    map[string]int      `json:"skipped,omitempty" doc:"The number of messages that were skipped, because other nodes deliver them, by the name of the node."`
	Error      string              `json:"error,omitempty"`
}

// An auditLog records the actions: in memory, and in files if there is a folder.
type auditLog struct {
	log *slog.Logger

	mu      sync.Mutex     // guards the fields below
	file    io.WriteCloser // nil: there is no folder
	loss    logfile.Loss
	entries []auditEntry // the last ones, the oldest first
	last    int64        // the number of the last entry
}

func newAuditLog(dir string, log *slog.Logger) *auditLog {
	a := &auditLog{log: log, loss: logfile.Loss{Log: "audit log of the console", Unit: "entries"}}
	// The numbers of different runs of the program differ.
	a.last = time.Now().UnixMilli() * 1000
	if dir != "" {
		a.file = &logfile.Files{Dir: dir, Prefix: "audit", Private: true, MaxAge: auditAge}
	}
	return a
}

// begin records that an action begins.
func (a *auditLog) begin(x *call, p *plan) auditEntry {
	e := auditEntry{
		Name: x.access.Name, Role: x.access.Role, Client: x.r.RemoteAddr, Path: x.path, Action: short(p.Title),
		Reason: short(x.reason()), Result: "begun", Time: time.Now().UTC(), Parameters: map[string][]string{},
	}
	for name, values := range x.form {
		if common[name] || x.route.upload && name == fileParam { // the audit log has no content of messages
			continue
		}
		for _, value := range values[:min(len(values), auditValues)] {
			e.Parameters[name] = append(e.Parameters[name], short(value))
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last++
	e.ID = a.last
	if len(a.entries) >= auditKept {
		a.entries = a.entries[1:]
	}
	a.entries = append(a.entries, e)
	a.write(e)
	return e
}

// end records the result of an action.
func (a *auditLog) end(e auditEntry, n int, err error) {
	e.Count, e.Result, e.Time = n, "done", time.Now().UTC()
	if e.Skipped, err = partly(n, err); err != nil {
		e.Result, e.Error = "failed", short(err.Error())
	}
	a.log.Info("console: action", "name", e.Name, "client", e.Client, "action", e.Action, "reason", e.Reason, "result", e.Result, "count", n, "skipped", e.SkippedText(), "error", e.Error)
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.entries {
		if a.entries[i].ID == e.ID {
			a.entries[i] = e
		}
	}
	a.write(e)
}

// write appends an entry to the file. An action is done even if the file cannot
// be written: on a full disk, the operator must be able to remove messages.
func (a *auditLog) write(e auditEntry) {
	if a.file == nil {
		return
	}
	line, err := json.Marshal(e)
	if err == nil {
		_, err = a.file.Write(append(line, '\n'))
	}
	a.loss.Written(1, err, a.log)
}

// find returns the entry with a number, if it is in memory.
func (a *auditLog) find(id int64) (auditEntry, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range a.entries {
		if e.ID == id {
			return e, true
		}
	}
	return auditEntry{}, false
}

// close closes the file.
func (a *auditLog) close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.file == nil {
		return nil
	}
	return a.file.Close()
}

// short returns at most auditText bytes of a text.
func short(s string) string {
	if len(s) > auditText {
		return s[:auditText] + "…"
	}
	return s
}
