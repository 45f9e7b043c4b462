package program

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/compare"
)

// A reloader reloads the settings of a running gateway.
type reloader struct {
	program *Program
	args    []string
	hup     <-chan os.Signal
	parts   *parts
	relay   *gateway.Gateway
	log     *slog.Logger

	mu      sync.Mutex
	in      *Kit   // of the rules in use. Guarded by mu, like all below
	watched files  // as the last reload, which may have failed, has read them
	failed  string // why the last reload has failed
	expired bool   // the log has the expiry of the certificate in use
}

// lookInterval is the time between two checks of the files. A changed file is read
// when the next check finds that it has not changed again. So a file is not read while
// it is written.
const lookInterval = 5 * time.Second

// run reloads for each SIGHUP, and when files have changed, until ctx ends.
func (r *reloader) run(ctx context.Context) error {
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	var pending map[string]version
	for {
		select {
		case <-r.hup:
			r.reload("SIGHUP")
			pending = nil
		case <-tick.C:
			r.lookAtCertificate(time.Now())
			now := r.changed()
			if len(now) > 0 && sameVersions(now, pending) {
				r.reload("a file has changed")
			}
			pending = now
		case <-ctx.Done():
			return nil
		}
	}
}

// changed returns the new versions of the files that have changed.
func (r *reloader) changed() map[string]version {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := make(map[string]version)
	for _, path := range r.watched.changed() {
		now[path] = versionOf(path)
	}
	return now
}

func sameVersions(a, b map[string]version) bool {
	if len(a) != len(b) {
		return false
	}
	for path, v := range a {
		if o, ok := b[path]; !ok || !v.same(o) {
			return false
		}
	}
	return true
}

// reload reads all settings again, and applies them completely or, after an error,
// not at all.
func (r *reloader) reload(why string) {
	k, warnings, err := r.load()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		for _, t := range r.in.transports { // attempts in progress continue
			t.Close()
		}
		k.pauseQueue(&r.in.Settings)
		r.in, r.watched, r.failed = k, k.files, ""
		r.expired = !k.expired(time.Now()).IsZero() // the warnings have it
		for _, text := range warnings {
			r.log.Warn(text)
		}
		r.relay.Queue.SettingsChanged() // waiting mail may be deliverable now
		r.log.Info("reloaded", "because", why)
		return
	}
	// A file that is wrong is not read again until it or another one changes.
	r.watched = make(files)
	maps.Copy(r.watched, k.files)
	maps.Copy(r.watched, k.lists)
	r.failed = "the last reload failed, the previous settings stay in use; wrong: " + strings.Join(k.named(k.wrong()), ", ")
	r.log.Error("not reloaded, the previous settings stay in use", "because", why, "error", err)
}

// lookAtCertificate logs once that the certificate in use has expired.
func (r *reloader) lookAtCertificate(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at := r.in.expired(now); !at.IsZero() && !r.expired {
		r.expired = true
		r.log.Warn("cert: the certificate has expired", "file", r.in.Cert, "until", at.UTC().Format(time.RFC3339))
	}
}

// load makes the rules of the present settings and applies them. Its warnings are what
// is probably wrong.
func (r *reloader) load() (*Kit, []string, error) {
	l := r.program.parse(r.args, io.Discard)
	_, warnings, err := r.program.assemble(l, slog.New(slog.DiscardHandler)) // all that -check reports
	if err != nil {
		return &Kit{loaded: l}, nil, err
	}
	k := r.parts.kit(l)
	rules := l.own.Build(k)
	k.refusePaused(&rules)
	k.unchanged(r.in)
	if err := k.err(); err != nil {
		return k, nil, err
	}
	r.parts.traced(&rules)
	if n, open := len(rules.Receive), len(r.relay.Listeners); n != open {
		k.Fault("listen", fmt.Errorf("%d listeners instead of %d: %w", n, open, errRestart))
	}
	for i, c := range rules.Receive[:min(len(rules.Receive), len(r.relay.Listeners))] {
		if c.Address != r.relay.Listeners[i].Address {
			k.Fault(c.setting(), errRestart)
		}
		if (c.RemoteNetworks == nil) != (r.relay.Listeners[i].RemoteNetworks == nil) {
			k.Fault(c.networkSetting(), errRestart)
		}
		k.Fault(c.setting(), c.Server.Validate()) // all, before any is replaced
	}
	if err := k.err(); err != nil {
		return k, nil, err
	}
	for i, c := range rules.Receive {
		if err := r.relay.Listeners[i].Replace(c.Server); err != nil {
			k.Fault(c.setting(), err)
			return k, nil, err
		}
	}
	if err := r.relay.ReplaceNetworks(rules.networks()...); err != nil { // only if the gateway stops
		k.Fault("listen", err)
		return k, nil, err
	}
	r.parts.router.SetTable(rules.Table)
	r.parts.hooks.set(rules.Hooks)
	k.setLevels(r.relay)
	r.parts.apply(k, &rules)
	return k, warnings, nil
}

var errRestart = errors.New("cannot change without a restart")

func (c Receive) setting() string {
	if c.Setting != "" {
		return c.Setting
	}
	return "listen"
}

func (c Receive) networkSetting() string { return cmp.Or(c.NetworkSetting, c.setting()) }

// networks returns the networks of each receive connector.
func (r *Rules) networks() (all [][]netip.Prefix) {
	for _, c := range r.Receive {
		all = append(all, c.RemoteNetworks)
	}
	return all
}

// unchanged reports each setting that differs from those in use and cannot change.
func (k *Kit) unchanged(in *Kit) {
	for _, name := range slices.Concat(fixed, []string{k.state}, k.restart) {
		if k.flags.Lookup(name).Value.String() != in.flags.Lookup(name).Value.String() {
			k.Fault(name, errRestart)
		}
	}
}

// wrong returns the names of the settings with faults, without their values.
func (l *loaded) wrong() (names []string) {
	for _, f := range l.faults {
		if !slices.Contains(names, f.name) {
			names = append(names, f.name)
		}
	}
	return names
}

// faulty reports whether a setting or one of its values has a fault.
func (l *loaded) faulty(setting string) bool {
	return slices.ContainsFunc(l.faults, func(f fault) bool {
		return f.name == setting || strings.HasPrefix(f.name, setting+"[")
	})
}

// named adds the files of settings to their names.
func (l *loaded) named(settings []string) (texts []string) {
	for _, name := range settings {
		if path := l.paths[name]; path != "" {
			name += " (" + path + ")"
		}
		texts = append(texts, name)
	}
	return texts
}

// Inherit implements gateway.Inheritor: a reloader inherits nothing.
func (r *reloader) Inherit(gateway.Defaults) {}

// Health reports reloads that have failed. The relay works with the previous
// settings, so it is healthy.
func (r *reloader) Health() gateway.HealthCheck {
	r.mu.Lock()
	defer r.mu.Unlock()
	var texts []string
	if r.failed != "" {
		texts = append(texts, r.failed)
	}
	for setting, d := range r.in.tables {
		if d.from.Err() != nil {
			texts = append(texts, "-"+setting+": the file "+d.path+" is not valid, the previous list stays in use")
		}
	}
	if r.in.Pause != pauses[0] {
		texts = append(texts, "-pause is set: "+r.in.Pause)
	}
	if at := r.in.expired(time.Now()); !at.IsZero() {
		texts = append(texts, "-cert: the certificate has expired: it was valid until "+at.UTC().Format(time.RFC3339))
	}
	slices.Sort(texts)
	return gateway.HealthCheck{Name: "settings", OK: true, Detail: strings.Join(texts, "; ")}
}

// candidate returns the settings in the file next to the configuration file, for a
// comparison; nil if there is none.
func (r *reloader) candidate() (*compare.Candidate, error) {
	path := r.in.config + ".new"
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return r.program.candidate(r.args, path, r.log)
}
