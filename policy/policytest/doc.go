// Package policytest tries out a server's policies as strangers, partners and
// users would: it serves an smtpserver.Server in memory, where a client may
// come from any address.
//
//	srv := policytest.New(t, &smtpserver.Server{...})
//	srv.Talk(t, "192.0.2.1", `
//		S: 220
//		C: EHLO client.example
//		S: 250
//		...
//	`)
//
// [OpenRelay] tries out whether strangers can relay by such a server, with the
// tricks that are known for it, and belongs into every relay's own tests:
//
//	policytest.OpenRelay(t, srv, "example.com")
//
// [OpenRelayTest] does the same to a server anywhere.
//
// Conversations are scripts in the language of package smtptest. All of it
// works in a testing/synctest bubble too, so that a test of an hour's waiting
// takes no time.
package policytest
