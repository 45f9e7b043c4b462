package live

import (
	"context"
	"slices"
	"sync"
)

// A Group is several registries that are seen as one. A watch of a Group also sees
// the registries that are added later. The zero value is ready to use. It is safe
// for concurrent use.
type Group struct {
	mu         sync.Mutex // guards the following fields
	registries []*Registry
	watchers   []*watcher
	keep       int
}

// Add adds a registry, unless it is in the group.
func (g *Group) Add(r *Registry) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if slices.Contains(g.registries, r) {
		return
	}
	g.registries = append(g.registries, r)
	for _, w := range g.watchers {
		r.add(w, 2*MaxWatchers) // only fails if the registry is in several groups
	}
	if g.keep > 0 {
		r.KeepDialogue(g.keep)
	}
}

// Remove removes a registry.
func (g *Group) Remove(r *Registry) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.registries = slices.DeleteFunc(g.registries, func(x *Registry) bool { return x == r })
	for _, w := range g.watchers {
		r.remove(w)
	}
}

func (g *Group) all() []*Registry {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.registries)
}

// Sessions lists the live sessions, the oldest first.
func (g *Group) Sessions() []Info {
	var infos []Info
	for _, r := range g.all() {
		infos = append(infos, r.Sessions()...)
	}
	slices.SortStableFunc(infos, func(a, b Info) int { return a.Started.Compare(b.Started) })
	return infos
}

// EndSession ends a session. It reports whether there is a session with this ID.
func (g *Group) EndSession(id string) bool {
	return slices.ContainsFunc(g.all(), func(r *Registry) bool { return r.EndSession(id) })
}

// KeepDialogue is as Registry.KeepDialogue, for all registries.
func (g *Group) KeepDialogue(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.keep = n
	for _, r := range g.registries {
		r.KeepDialogue(n)
	}
}

// Dialogue is as Registry.Dialogue.
func (g *Group) Dialogue(id string) ([]Event, error) {
	for _, r := range g.all() {
		if lines, err := r.Dialogue(id); err != ErrNoSession {
			return lines, err
		}
	}
	return nil, ErrNoSession
}

// Watch is as Registry.Watch, for all registries.
func (g *Group) Watch(ctx context.Context, f Filter) (<-chan Event, error) {
	if f.Session != "" {
		for _, r := range g.all() {
			if to, err := r.Watch(ctx, f); err != ErrNoSession {
				return to, err
			}
		}
		return nil, ErrNoSession
	}
	w := newWatcher(f)
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.watchers) >= MaxWatchers {
		return nil, ErrTooManyWatchers
	}
	g.watchers = append(g.watchers, w)
	for _, r := range g.registries {
		r.add(w, 2*MaxWatchers)
	}
	return w.start(ctx, func() { g.removeWatcher(w) }), nil
}

func (g *Group) removeWatcher(w *watcher) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.watchers = slices.DeleteFunc(g.watchers, func(x *watcher) bool { return x == w })
	for _, r := range g.registries {
		r.remove(w)
	}
}
