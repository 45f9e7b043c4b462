// Package sendsec has the settings of a gateway for sending to the internet: MTA-STS,
// DANE and TLS reports for its sessions, DKIM signatures and ARC seals for its mail.
// A gateway of package program defines them and uses them in its Build:
//
//	type edge struct {
//		internet sendsec.Internet
//		dkim     sendsec.DKIM
//		arc      sendsec.ARC
//	}
//
//	func (e *edge) Define(f *flag.FlagSet) {
//		e.internet.Define(f, "send.internet.")
//		e.dkim.Define(f, "send.dkim.")
//		e.arc.Define(f, "filters.")
//	}
//
//	func (e *edge) Build(k *program.Kit) (r program.Rules) {
//		connector := routing.Connector{Name: "internet", Spaces: []string{"*"}}
//		signer := e.dkim.Use(k, organization, &r)    // the gate of the organization's mail
//		e.arc.Use(k, internet, signer)               // the gate of the mail from the internet
//		e.internet.Use(k, &connector, &r, signer)    // the connector to the internet
//		...
//	}
//
// Each method Use reports to the Kit the settings that cannot work. A reload can change
// all of these settings. It keeps what was fetched and counted. The MTA-STS policies are
// in the folder mta-sts of -spool. While the gateway does not run, the counts for the
// next TLS reports are in the file PREFIXtls-reports.json of -spool.
package sendsec
