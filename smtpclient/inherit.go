package smtpclient

import "github.com/bridgehead-mail/bridgehead/internal/site"

// Inherit sets Hostname and Logger if they are not set, and passes d to the
// ProtocolLog if it has a method Inherit. A gateway.Gateway calls it before the
// first use of the Transport.
func (t *Transport) Inherit(d site.Defaults) {
	d.FillFor(site.PartSMTPClient, &t.Hostname, &t.Logger)
	d.For(site.PartSMTPClient).Inherit(t.ProtocolLog)
}
