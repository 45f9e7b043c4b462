// Package policytest tests the policies of a server. It serves an
// smtpserver.Server on in-memory connections. A test client can have any IP
// address.
//
//	srv := policytest.New(t, &smtpserver.Server{...})
//	srv.Talk(t, "192.0.2.1", `
//		S: 220
//		C: EHLO client.example
//		S: 250
//		...
//	`)
//
// [OpenRelay] tests that the server is not an open relay. It tries the known
// methods to make a server relay for an unknown client. Call it in the tests of
// each relay:
//
//	policytest.OpenRelay(t, srv, "example.com")
//
// [OpenRelayTest] does the same test with any server, also over a network.
//
// The scripts have the syntax of package smtptest. The package works in a
// testing/synctest bubble, where time passes without waiting.
package policytest
