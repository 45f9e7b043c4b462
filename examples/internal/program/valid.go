package program

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// valid checks all settings together: the relay, and the console, which does not exist
// before the start. The error names the settings, and not the fields of the relay.
func (k *Kit) valid(relay *gateway.Gateway, r *Rules) error {
	if err := relay.Validate(); err != nil {
		many, _ := err.(interface{ Unwrap() []error })
		for _, one := range many.Unwrap() {
			var f *gateway.Finding
			if errors.As(one, &f) {
				k.report(k.finding(f, r))
			}
		}
	}
	if c := k.Console; c.Address == "" && c.Socket == "" {
		for setting, value := range map[string]string{"console-token": c.TokenFile, "console-audit": c.AuditDir} {
			if value != "" {
				k.fault(setting, errors.New("has no effect without -console or -console-socket"))
			}
		}
	}
	if web := k.Console.Install(&gateway.Gateway{Queue: new(queue.Queue)}); web != nil {
		if err := web.Validate(); err != nil {
			k.fault("console", errors.New(strings.ReplaceAll(err.Error(), "console: ", "")))
		}
	}
	k.checkAddresses(r)
	k.checkFolders()
	return k.err()
}

// report records a fault of a setting, or of a field that has no setting.
func (k *Kit) report(name, text string) {
	if k.flags.Lookup(name) == nil && k.line(name) == 0 {
		k.faults = append(k.faults, fault{name: name, text: name + ": " + text})
		return
	}
	k.fault(name, errors.New(text))
}

// warnings returns what is probably wrong.
func (k *Kit) warnings(relay *gateway.Gateway, r *Rules) (texts []string) {
	for _, f := range relay.Warnings() {
		name, text := k.finding(&f, r)
		if text = name + ": " + text; !slices.Contains(texts, text) { // listeners may have one certificate
			texts = append(texts, text)
		}
	}
	return append(texts, r.warnings()...)
}

// finding returns the setting that a finding is about, and its text.
func (k *Kit) finding(f *gateway.Finding, r *Rules) (setting, text string) {
	pairs := []string{"Hostname", "hostname", "Queue.Reports.From", "report-from", "Queue.Reports.CopyTo", "postmaster",
		"Queue.Deliverer.Resolver", "dns"}
	for i, c := range r.Receive {
		field := fmt.Sprintf("Listeners[%d]", i)
		pairs = append(pairs, field+".Server.Hostname", "hostname")
		for _, part := range []string{".Server.TLSConfig.Certificates[0]", ".Server.TLSConfig"} {
			pairs = append(pairs, field+part, "cert")
		}
		pairs = append(pairs, field+".RemoteNetworks", c.networkSetting())
		pairs = append(pairs, field+".Server.Hostname", "hostname")
		for _, part := range []string{".Address", ".Server", ""} {
			pairs = append(pairs, field+part, c.setting())
		}
	}
	for i := range r.Servers {
		field := fmt.Sprintf("Servers[%d].TLSConfig", i)
		pairs = append(pairs, field+".Certificates[0]", "cert", field, "cert")
	}
	names := strings.NewReplacer(pairs...)
	return names.Replace(f.Subject), names.Replace(f.Text)
}

// warnings returns what is probably wrong, besides the warnings of the relay.
func (r *Rules) warnings() (texts []string) {
	texts = append(texts, r.Warnings...)
	for _, c := range r.Receive {
		if a, err := ListenAddr(c.Address); err == nil && a.Port() == 0 {
			texts = append(texts, fmt.Sprintf("-%s %s: with port 0, the system chooses another port at each start", c.setting(), c.Address))
		}
	}
	return texts
}
