package tracking

import "github.com/bridgehead-mail/bridgehead/internal/site"

// Inherit sets Hostname and Logger if they are not set. A gateway.Gateway calls
// it before Write.
func (l *Log) Inherit(d site.Defaults) { d.FillFor(site.PartQueue, &l.Hostname, &l.Logger) }
