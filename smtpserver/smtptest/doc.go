// Package smtptest is to smtpserver what httptest is to net/http.
//
// [NewServer] starts a server for a test, with an [Inbox] that keeps what it
// receives. [Talk] holds a conversation with any SMTP server that is written
// down as a script. A [Listener] lets a server run without a network, so that
// testing/synctest can run its timeouts in no time, and clients come from any
// address. [TLSConfig] makes a certificate.
//
//	func TestUnknownUser(t *testing.T) {
//		srv := smtptest.NewServer(t, &smtpserver.Server{Agents: []smtpserver.Agent{myAgent}})
//		smtptest.Talk(t, srv.Addr, `
//			S: 220
//			C: EHLO client.example
//			S: 250 PIPELINING
//			C: MAIL FROM:<a@example.com>
//			C: RCPT TO:<nobody@example.net>
//			S: 250 2.1.0
//			S: 550 5.1.1
//		`)
//	}
package smtptest
