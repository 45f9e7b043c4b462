package policy

import "github.com/bridgehead-mail/bridgehead/smtpserver"

// Inherit sets Resolver if it is not set. The server calls it: see
// smtpserver.Agent.Inherit.
func (d *SenderDomain) Inherit(s smtpserver.Defaults) { s.FillResolver(&d.Resolver) }

// Inherit sets Resolver if it is not set. The server calls it: see
// smtpserver.Agent.Inherit.
func (t *Trace) Inherit(d smtpserver.Defaults) { d.FillResolver(&t.Resolver) }

// inherit sets the Resolver of the prepared filter if it is not set.
func (j *connectionChecker) inherit(d smtpserver.Defaults) { d.FillResolver(&j.f.Resolver) }

// Inherit sets Logger if it is not set. The server calls it: see
// smtpserver.Agent.Inherit.
func (p *Pressure) Inherit(d smtpserver.Defaults) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d.Fill(nil, &p.Logger)
}

// Inherit sets Logger if it is not set. The server calls it for the directories
// of accepted domains: see smtpserver.Agent.Inherit.
func (d *FileDirectory) Inherit(s smtpserver.Defaults) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s.Fill(nil, &d.Logger)
}

// Inherit passes the settings to the Directory if it has a method Inherit.
func (d *CachedDirectory) Inherit(s smtpserver.Defaults) { s.Inherit(d.Directory) }

// Inherit sets Logger if it is not set. The server calls it: see
// smtpserver.Agent.Inherit.
func (p *ProxyProbe) Inherit(d smtpserver.Defaults) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d.Fill(nil, &p.Logger)
}

// inherit passes the settings to the directories of all domains.
func (ds *Domains) inherit(s smtpserver.Defaults) {
	if ds == nil {
		return
	}
	for _, all := range []map[string]*Domain{ds.exact, ds.below} {
		for _, d := range all {
			s.Inherit(d.Directory)
			for _, other := range d.SharedWith {
				s.Inherit(other.Directory)
			}
		}
	}
}
