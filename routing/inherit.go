package routing

import "github.com/bridgehead-mail/bridgehead/internal/site"

// Inherit sets Hostname, Logger and Resolver if they are not set. It passes the settings
// of the Router to the transports of its connectors, also to those of later
// tables (SetTable, NewTransport). A gateway.Gateway calls it before the first
// use of the Router.
func (r *Router) Inherit(d site.Defaults) {
	d.FillFor(site.PartRouting, &r.Hostname, &r.Logger)
	d.FillResolver(&r.Resolver)
	r.mu.Lock()
	r.inherited = site.Defaults{Hostname: r.Hostname, Logger: r.Logger}
	r.mu.Unlock()
	r.inherit(r.table())
}

// inherit passes the settings to the transports of a table.
func (r *Router) inherit(t *Table) {
	r.mu.RLock()
	d := r.inherited
	r.mu.RUnlock()
	for _, c := range t.connectors {
		d.For(site.PartSMTPClient).Inherit(c.Transport)
	}
}

// Inherit sets Logger and Resolver if they are not set, and passes d to the Transport. A
// gateway.Gateway calls it for its Parts before they run.
func (f *Fetcher) Inherit(d site.Defaults) {
	d.FillFor(site.PartRouting, nil, &f.Logger)
	d.FillResolver(&f.Resolver)
	d.For(site.PartSMTPClient).Inherit(f.Transport)
}
