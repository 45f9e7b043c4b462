// Package smtpserver implements the receiving side of SMTP and LMTP for mail
// relays on the open internet: the protocol and its extensions, TLS, AUTH,
// limits and logs. The application decides which mail to accept and what to do
// with it.
//
// A [Server] is one receive connector. It works like the Server of net/http:
// its fields are its settings, and their zero values are safe defaults. The
// server passes each complete message to its [Handler]. It replies 250 only
// after the Handler has returned nil, which means that the message is safe.
//
//	srv := &smtpserver.Server{
//		Hostname: "mx.example.com",
//		Agents:   []smtpserver.Agent{recipients},
//		Handler:  smtpserver.HandlerFunc(store),
//	}
//	log.Fatal(srv.ListenAndServe(":25"))
//
// # Without agents, the server is an open relay
//
// The server knows no users and no domains. It accepts every recipient that no
// [Agent] refuses. An Agent is a set of functions, one for each event of a
// session; each function can refuse the event. Package policy contains the
// agents that a relay needs. If you write your own agent instead, its Rcpt
// function must refuse every recipient to which the client must not send.
//
// The events come in this order. Command, Reject and Reset can come at any
// time.
//
//	Connect → Helo → StartTLS → Helo → Auth →
//	    (Mail → Rcpt... → Data → EndOfHeaders → EndOfData → Handler)... → Disconnect
//
// # Protocol
//
// The server implements RFC 5321; state.go contains the table of commands and
// states. These extensions are on by default: SIZE, PIPELINING, 8BITMIME,
// SMTPUTF8, ENHANCEDSTATUSCODES, CHUNKING, DSN, LIMITS, HELP and, if
// Server.TLSConfig is set, STARTTLS. Server.Disable switches them off. An agent
// can limit DSN to some clients (Session.SetDSN); policy.Relay does so.
// BINARYMIME, REQUIRETLS, DELIVERBY, MT-PRIORITY and FUTURERELEASE are off by
// default, because they need support from the application: for example, it must
// hold a message until the requested time. Server.Enable switches them on.
// Agents answer ETRN, ATRN, VRFY and EXPN, and can add commands, EHLO keywords
// and parameters of MAIL and RCPT.
//
// An [Authenticator] provides SASL mechanisms. [PasswordAuth] provides PLAIN
// and LOGIN, [Scram] SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, [BearerAuth]
// OAUTHBEARER and XOAUTH2, [ExternalAuth] EXTERNAL (client certificates), and
// [CramMD5Auth] CRAM-MD5. [Auths] combines several. The server offers AUTH
// only under TLS, unless Server.AllowInsecureAuth is set.
//
// # Clients that deviate from the RFCs
//
// Some devices and old programs deviate from the RFCs in harmless ways. The
// server accepts any white space between the words of a command, local parts
// with misplaced dots, a dot after a domain, unpadded base64, and client names
// that are not domain names (Session.Helo returns them in an encoded form that
// is safe to write). Other deviations must be allowed explicitly: addresses
// without a domain (Server.DefaultDomain), lines that end in a bare LF
// (Server.BareLFFrom), TLS 1.0, TLS 1.1 and RSA key exchange
// (Server.InsecureOldTLS).
//
// # Protection against attacks
//
// Only CRLF.CRLF ends a message, and only CRLF ends a command (for exceptions,
// see Server.BareLFFrom and [BareNormalize]). The server refuses messages that
// contain bare CR, bare LF or NUL ([BareBytes]). A client must wait for some
// replies before it sends more input. The server refuses a client that does not
// wait (Server.AllowEarlyInput). If a message is too long, the server reads it
// to its end and then refuses it. The server closes the connection if a message
// comes too slowly or does not end. No part of a message is ever read as a
// command. [Limits] contains every limit of a server, with the source of its
// default. A [ContentBudget] limits the unfinished messages of several servers
// together.
//
// # Logs, counters and live sessions
//
// Server.Logger gets one line for each session, message and refusal.
// Server.ProtocolLog gets every command and reply, without credentials and
// message content. [NewProtocolLog] writes the format of Exchange,
// [NewW3CProtocolLog] the W3C extended log format. [Server.Counters] returns
// statistics.
//
// While the server serves, [Server.Sessions] lists the sessions with their
// states, [Server.Watch] shows their dialogue as it happens, and
// [Server.EndSession] ends one of them.
//
// # Performance
//
// The table compares this server with go-smtp v0.25.1. The figures are the CPU
// time of the server process for one message. The connection is open before the
// message begins, and uses loopback TCP. The client is not included. The
// figures were measured with BenchmarkReceive and BenchmarkIdle on two shared
// cores (AMD EPYC, Linux, Go 1.26). Both servers give the message to an
// application that drops it. This server first stores the whole message: in
// memory up to 256 KiB, otherwise in a file.
//
//	                      smtpserver    go-smtp
//	CPU time for a message of
//	  4 KiB                    10 µs      28 µs   ratio 2.7
//	  100 KiB                  34 µs     379 µs   ratio 11
//	  10 MiB, in a file     3,950 µs  40,900 µs   ratio 10
//	  10 MiB, in memory     2,910 µs  40,900 µs   ratio 14
//	memory of an idle connection (resident, 10,000 are open)
//	  without TLS             7.2 KB    13.4 KB
//	  with TLS               18.5 KB
package smtpserver
