// Package program has what all reference gateways share: flags and a
// configuration file with the same names, logs, limits, the console and metrics,
// folders for files, and a reload that terminates nothing. The package of a gateway
// has only what differs: who may send mail to whom, and where the mail goes.
//
//	func main() { program.Main("perimeter", func() program.Gateway { return new(perimeter) }) }
//
//	type perimeter struct{ domains program.List }
//
//	func (p *perimeter) Define(f *flag.FlagSet) {
//		f.Var(&p.domains, "domains", "accepted `domains`; required")
//	}
//
//	func (p *perimeter) Build(k *program.Kit) program.Rules {
//		k.Require("domains", len(p.domains) > 0)
//		srv := k.Server("internet")
//		...
//		return program.Rules{Table: table, Receive: []program.Receive{{Server: srv, Address: k.Listen}}}
//	}
//
// The queue is a spool, unless the gateway is a [Storer].
//
// # Names of settings
//
// A setting has one name on the command line and in the file. A gateway with many
// settings groups them in sections: -filters.spf is the setting spf in the section
// filters of the file. A setting whose values have fields is a [Records]. An error names
// the setting, and its line if it is in the file.
//
// # Start, check, reload
//
// A gateway reads its settings and calls Build at the start and for -check. It does so
// again when the process gets SIGHUP, or when a file that Build has read with the Kit
// has changed. New sessions and the queue then use the new Rules. Existing sessions
// continue with the previous ones for ten minutes. If anything is wrong, nothing
// changes, and the log and the console say which setting is wrong, and its file.
//
// A start and a reload first check everything as -check does, so that they call Build
// twice: for Rules that are only checked, and for those that are used. [Keep] and
// [Reuse] keep what a reload must not lose: counts, connections.
package program
