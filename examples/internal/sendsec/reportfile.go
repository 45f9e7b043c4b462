package sendsec

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
)

// load reads the reports that Close has written, and removes the file: a report must
// not be sent twice. They wait for the next midnight.
func (r *reporter) load() error {
	text, err := os.ReadFile(r.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var all []*pending
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		return errors.Join(err, os.Remove(r.file))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range all {
		if p != nil && p.Report != nil {
			r.pending = append(r.pending, p)
		}
	}
	return os.Remove(r.file)
}

// Close writes the counts to the file. The gateway calls it after the last session has
// ended. If the process is killed, the counts since midnight are lost.
func (r *reporter) Close() error {
	r.take()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.pending) == 0 {
		return nil
	}
	text, err := json.Marshal(r.pending)
	if err != nil {
		return err
	}
	next := r.file + ".new"
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return err
	}
	return os.Rename(next, r.file)
}
