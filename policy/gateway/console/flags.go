package console

import (
	"flag"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
)

// Flags are the values of the flags of a relay program that has a console. They
// are fields of [Console].
//
//	var web console.Flags
//	web.Define(flag.CommandLine)
//	flag.Parse()
//	...
//	web.Install(relay)
//	err := relay.Run(ctx)
type Flags struct {
	Address   string // -console
	Socket    string // -console-socket
	TokenFile string // -console-token
	AuditDir  string // -console-audit
}

// Define defines the flags. The values that f has are their defaults.
func (f *Flags) Define(set *flag.FlagSet) {
	set.StringVar(&f.Address, "console", f.Address, "`address` of the web console, for example 127.0.0.1:8025; default: no console")
	set.StringVar(&f.Socket, "console-socket", f.Socket, "`path` of a Unix socket of the console, for relayctl; default: none")
	set.StringVar(&f.TokenFile, "console-token", f.TokenFile, "`file` with the token of the console, which is created if it does not exist; default: a new\ntoken at each start, which is printed as part of the URL")
	set.StringVar(&f.AuditDir, "console-audit", f.AuditDir, "`folder` of the audit log, which records the changes that are made with the console;\ndefault: the changes are only in the log of the relay")
}

// Install adds a Console with these settings to a relay, and returns it. Without
// Address and Socket, it adds none and returns nil.
func (f *Flags) Install(relay *gateway.Gateway) *Console {
	if f.Address == "" && f.Socket == "" {
		return nil
	}
	c := &Console{Gateway: relay, Address: f.Address, Socket: f.Socket, TokenFile: f.TokenFile, AuditDir: f.AuditDir}
	relay.Tasks = append(relay.Tasks, c.Run)
	relay.Parts = append(relay.Parts, c)
	return c
}
