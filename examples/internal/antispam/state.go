package antispam

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/durable"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
)

// A state has what the filters know about clients. The rules before and after a reload
// share it.
type state struct {
	mu  sync.Mutex // guards the fields below. Build and apply, which do not run at the same time, read them without it
	dir string
	log *slog.Logger

	greylist   slot[*policy.Greylist]
	reputation slot[*policy.Reputation]
	rates      slot[*policy.Rates]
}

// A slot has a filter with state. Filters with the same settings are the same filter.
type slot[T comparable] struct {
	now, next                 T // in use, and of the rules that Build makes. Zero: none
	nowSettings, nextSettings string
}

// use returns the filter for the rules that are made: the one in use if it has the same
// settings, otherwise fresh. Fresh gets the state of the one in use.
func (s *slot[T]) use(settings string, fresh T) T {
	var none T
	if s.next, s.nextSettings = fresh, settings; fresh == none || s.now == none {
		return s.next
	}
	if settings == s.nowSettings {
		s.next = s.now
		return s.next
	}
	from, ok := any(s.now).(saved)
	if to, _ := any(fresh).(saved); ok {
		var b bytes.Buffer
		if from.Save(&b) == nil { // a Buffer has no errors, and what is saved is valid
			to.Load(&b)
		}
	}
	return s.next
}

// saved is a filter whose state can be saved.
type saved interface {
	Save(io.Writer) error
	Load(io.Reader) error
}

// apply puts the filters of the newest rules into use. A filter that was not in use gets
// the state in its file.
func (s *state) apply(dir string, log *slog.Logger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dir, s.log = dir, log
	apply(s, &s.greylist, "greylist")
	apply(s, &s.reputation, "reputation")
	apply(s, &s.rates, "")
}

func apply[T comparable](s *state, one *slot[T], name string) {
	var none T
	before := one.now
	one.now, one.nowSettings = one.next, one.nextSettings
	if name == "" {
		return
	}
	if before == none && one.now != none {
		s.load(name, any(one.now).(saved))
	}
	if before != none && one.now == none {
		s.save(name, any(before).(saved))
	}
}

// load loads a saved state. The caller has the lock.
func (s *state) load(name string, into saved) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil { // reported now, and not by the first save
		s.log.Error("the state of a filter cannot be saved", "filter", name, "error", err)
		return
	}
	path := filepath.Join(s.dir, name)
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = into.Load(file)
		file.Close()
	}
	if err != nil {
		s.log.Error("the filter begins without its saved state", "filter", name, "file", path, "error", err)
	}
}

// save saves a state. The caller has the lock.
func (s *state) save(name string, from saved) error {
	err := os.MkdirAll(s.dir, 0o700)
	if err == nil {
		_, err = durable.WriteFile(filepath.Join(s.dir, name), 0o600, from.Save)
	}
	if err != nil {
		s.log.Error("the state of a filter is not saved", "filter", name, "error", err)
	}
	return err
}

// saveAll saves the state of all filters in use.
func (s *state) saveAll() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	if g := s.greylist.now; g != nil {
		errs = append(errs, s.save("greylist", g))
	}
	if r := s.reputation.now; r != nil {
		errs = append(errs, s.save("reputation", r))
	}
	return errors.Join(errs...)
}

// saveInterval is the time between two saves. A crash loses what has changed since the
// last one.
const saveInterval = 5 * time.Minute

// run saves the state regularly until ctx ends.
func (s *state) run(ctx context.Context) error {
	tick := time.NewTicker(saveInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.saveAll() // it has logged an error, and tries again later
		case <-ctx.Done():
			return nil
		}
	}
}

// Close saves the state when all sessions have ended.
func (s *state) Close() error { return s.saveAll() }

// Inherit implements gateway.Inheritor: a state inherits nothing.
func (s *state) Inherit(gateway.Defaults) {}

// maxShown is the largest number of blocked clients that Health names.
const maxShown = 20

// Health names the clients that the reputation blocks. The relay works, so it is
// healthy.
func (s *state) Health() gateway.HealthCheck {
	s.mu.Lock()
	r := s.reputation.now
	s.mu.Unlock()
	h := gateway.HealthCheck{Name: "filters", OK: true}
	if r == nil {
		return h
	}
	blocks := r.Blocks()
	if len(blocks) == 0 {
		return h
	}
	var names []string
	for _, b := range blocks[:min(len(blocks), maxShown)] {
		names = append(names, fmt.Sprintf("%s until %s", b.Network, b.Until.UTC().Format(time.RFC3339)))
	}
	if len(blocks) > maxShown {
		names = append(names, "...")
	}
	h.Detail = fmt.Sprintf("clients refused because of their reputation (%d): %s", len(blocks), strings.Join(names, ", "))
	return h
}
