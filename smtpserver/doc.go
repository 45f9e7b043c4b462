// Package smtpserver is an SMTP and LMTP receive engine for mail relays on the
// open internet: the protocol, its extensions, TLS, AUTH, limits and logs. What
// is to become of the mail it asks the application.
//
// A [Server] is one receive connector. It is a struct in the manner of
// net/http's: its fields are its settings, and their zero values are safe
// defaults. A [Handler] takes over messages; it returns nil once a message is
// safe, and only then does the client read 250.
//
//	srv := &smtpserver.Server{
//		Hostname: "mx.example.com",
//		Agents:   []smtpserver.Agent{recipients},
//		Handler:  smtpserver.HandlerFunc(store),
//	}
//	log.Fatal(srv.ListenAndServe(":25"))
//
// # The server relays for everybody unless an agent refuses
//
// The engine knows no users and no domains. An [Agent] is a set of functions,
// one for each event of a session; what it refuses is refused. Package policy
// has the ones that a relay needs; who writes their own has to refuse, at Rcpt,
// every recipient that the client may not send to.
//
// The events come in this order; Command, Reject and Reset at any time:
//
//	Connect → Helo → StartTLS → Helo → Auth →
//	    (Mail → Rcpt... → Data → EndOfHeaders → EndOfData → Handler)... → Disconnect
//
// # Protocol
//
// RFC 5321 in one table of commands and states (state.go). SIZE, PIPELINING,
// 8BITMIME, SMTPUTF8, ENHANCEDSTATUSCODES, CHUNKING, DSN, LIMITS, HELP and,
// with Server.TLSConfig, STARTTLS are on, and can be switched off with
// Server.Disable. BINARYMIME, REQUIRETLS, DELIVERBY, MT-PRIORITY and
// FUTURERELEASE are promises that the application has to keep, and so off
// until Server.Enable has them. ETRN, ATRN, VRFY, EXPN, and whatever an
// application adds to the sets of verbs, EHLO keywords and parameters, are
// answered by Agents.
//
// An [Authenticator] brings SASL mechanisms: [PasswordAuth] PLAIN and LOGIN,
// [Scram] SCRAM-SHA-256 and its -PLUS, [BearerAuth] OAUTHBEARER and XOAUTH2,
// [ExternalAuth] EXTERNAL by client certificate, [CramMD5Auth] CRAM-MD5;
// [Auths] joins them. Without TLS none is offered unless
// Server.AllowInsecureAuth is set.
//
// # Clients as they are
//
// Devices and old programs deviate from the RFCs in ways that do no harm. The
// server accepts any white space between the words of a command, local parts
// with odd dots, a dot after a domain, unpadded base64, and names of clients
// that are no domains (Session.Helo has them in a form that can be written
// anywhere). More has to be allowed by name: addresses without a domain
// (Server.DefaultDomain), lines that end in a bare LF (BareLFFrom), TLS 1.0 and
// RSA key exchange (InsecureOldTLS).
//
// # Defence
//
// Only CRLF.CRLF ends a message, and only CRLF a command, but see
// Server.BareLFFrom. Messages with bare
// CRs, bare LFs or NULs are refused ([BareBytes]); clients that send on before
// a reply that they have to wait for are too. A message that is too long is
// refused after its end, one that comes too slowly or never ends costs the
// client its connection: no part of it is ever read as commands. Every bound
// is in [Limits], with the source of its default.
//
// # Seeing
//
// Server.Logger has a line for each session, message and refusal;
// Server.ProtocolLog every line that was said, in Exchange's format and without
// credentials or content; [Server.Counters] what there is to count.
//
// # What it costs
//
// BenchmarkReceive and BenchmarkIdle, measured on two shared cores (AMD EPYC,
// Linux, Go 1.26) beside go-smtp v0.25.1: CPU time of the server's process for
// a message on a kept connection over loopback TCP, without what the client
// costs; both give the message to an application that drops it. This server
// has it at hand as a whole then, beyond 256 KiB in a file.
//
//	                      smtpserver    go-smtp
//	4 KiB                      10 µs      28 µs   2.7 times less
//	100 KiB                    34 µs     379 µs   11
//	10 MiB, in a file       3,950 µs  40,900 µs   10
//	10 MiB, in memory       2,910 µs  40,900 µs   14
//	idle connection           6.7 KB    13.4 KB   of resident memory, 10,000 open
//	idle, with TLS           18.5 KB
package smtpserver
