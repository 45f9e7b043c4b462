package pickup

import "github.com/bridgehead-mail/bridgehead/internal/site"

// Inherit sets Hostname and Logger if they are not set. A gateway.Gateway calls
// it for its Parts before they run.
func (f *Folder) Inherit(d site.Defaults) { d.FillFor(site.PartQueue, &f.Hostname, &f.Logger) }
