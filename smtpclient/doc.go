// Package smtpclient sends mail by SMTP and LMTP.
//
// [Send] sends one message:
//
//	err := smtpclient.Send(ctx, "smtp.example.net:587",
//		smtpclient.PasswordAuth("alice", "wonderland"),
//		&smtpclient.Message{
//			From:       "alice@example.com",
//			Recipients: []smtpclient.Recipient{{Addr: "bob@example.net"}},
//			Content:    smtpclient.String("Subject: hello\r\n\r\nHow are you?\r\n"),
//		})
//
// [Transport] sends messages, as http.Transport sends HTTP requests. It
// connects to the hosts of a destination in their order of preference,
// negotiates TLS as the policy requires, authenticates, keeps sessions for the
// next message, and uses PIPELINING. It returns one [Result] for each
// recipient, with the reply of the host. A Transport is safe for concurrent
// use:
//
//	t := &smtpclient.Transport{Hostname: "relay.example.com"}
//	dst := &smtpclient.Destination{
//		Name: "smarthost",
//		Hosts: smtpclient.HostList(smtpclient.Host{
//			Name:  "mx.example.net",
//			Addrs: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:25")},
//		}),
//	}
//	for i, r := range t.Send(ctx, dst, message) {
//		log.Println(message.Recipients[i].Addr, r.Outcome, r.Reply.Message)
//	}
//
// A Transport does not look up MX or address records: a [Destination] contains
// its hosts, with their TLSA records where DANE applies. Package routing finds
// them. The packages mtasts and tlsrpt in this folder implement MTA-STS and TLS
// reporting. Package dane verifies TLSA records.
//
// [Client] is one session with one host. It is for programs that control the
// session themselves: a probe, a single submission, an ETRN. [Transport.Dial]
// opens a Client under the policies of a Transport.
//
// # Results
//
// A message is delivered when a host accepts it at the end of data. If a host
// fails before that, the message goes to the next host, within the limits
// MaxAddrs and MaxSessions. The result is that of the last host that replied
// about the message. If the host replied, the codes of the result are those of
// its reply. Otherwise they are:
//
//	situation                                   outcome      enhanced  next host
//	------------------------------------------  -----------  --------  ---------
//	Destination.Hosts fails, with a 5xx         Failure      its own
//	Destination.Hosts fails otherwise           Unreachable  4.4.3
//	no host has an address                      Unreachable  4.4.4
//	no connection, or not in time               Unreachable  4.4.1     yes
//	MaxConnsPerAddr are in use, or connection   a host of equal preference, or waits
//	refused while other sessions are open       up to MaxWait; then 4.4.5, host's
//	the same, with Message.NoWait               Busy         4.4.5
//	greeting 4xx or 5xx                         Unreachable  host's    yes
//	greeting missing, late, not SMTP            Unreachable  4.4.2, 4.5.0  yes
//	EHLO 4xx; EHLO and HELO refused             Unreachable  host's    yes
//	TLS fails at TLSOpportunistic               old TLS, then plain text, on new connections
//	closed or 421 at STARTTLS, with             Unreachable  4.4.2, host's  yes
//	TLSOpportunistic                            (at the next attempt: plain text)
//	no STARTTLS, but the policy requires it     Unreachable  4.7.4     yes
//	TLS fails, but the policy requires it       Unreachable  4.7.5     yes
//	certificate, TLSA or MTA-STS do not match   Unreachable  4.7.5     yes
//	AUTH refused with all usable mechanisms     Unreachable  host's    yes
//	AUTH not offered, no mechanism, no TLS,     Unreachable  4.7.4     yes
//	old TLS
//	530 to MAIL                                 Unreachable  host's    yes
//	address cannot be written in a command      Failure      5.1.3, 5.1.7
//	larger than the host's SIZE                 Failure      5.3.4
//	8-bit content, host without 8BITMIME        Failure      5.6.3
//	binary content, host without BINARYMIME     Failure      5.6.3
//	SMTPUTF8 address or header, host without    Failure      5.6.7, 5.6.9
//	REQUIRETLS, host without it                 Failure      5.7.30    yes
//	DELIVERBY return: overdue, host without     Failure      5.4.7, 5.3.3
//	MAIL, RCPT, DATA or end of data 5xx         Failure      host's
//	MAIL, RCPT, DATA or end of data 4xx, 421    Deferred     host's    yes
//	RCPT 452, or X.5.3, after others were       next transaction
//	accepted
//	RCPT or DATA 503 after another RCPT 4xx     Deferred     that 4xx  yes
//	RCPT 503 after other replies to RCPT        next transaction
//	DATA 503 after pipelined commands           again on a new session, without PIPELINING
//	BDAT 500, 502, 503, 504                     again on a new session, with DATA
//	closed or timeout before the end of data    Deferred     4.4.2     yes
//	malformed or unexpected reply before it     Deferred     4.5.0     yes
//	closed or timeout after the end of data     Deferred     4.4.2     never
//	content cannot be read                      Deferred     4.3.0     never
//	the context ends                            Deferred     4.3.2     never
//	AttemptTime is over, before the end of data Unreachable, Deferred  4.4.2  never
//	idle session closed before its first reply, tried again on a new session,
//	or 421 to the first command                 which does not count in MaxSessions
//	4xx or 5xx to MAIL, or to RSET, on a        tried again on a new session
//	idle session, unless the reply is about an
//	address, the size or the content
//
// # Content
//
// Transport sends content only after the host has accepted a recipient and has
// asked for the content (reply 354). Otherwise a host, or a middlebox, that
// refuses the command before the content could read the content as commands.
// Therefore Transport uses DATA, in one batch with MAIL and RCPT if the host
// has PIPELINING. It uses BDAT only for content that was declared BINARYMIME.
// The first chunk of a session is then the first Received field of the message.
// If the message has no such field, the first chunk is one octet. The rest of
// the content follows when the host has accepted that chunk. If the host does
// not accept binary content, content that is text goes with DATA.
//
// Recipients with the same address and parameters are sent once, and each gets
// the result. If the content does not end with CRLF, Transport adds one.
//
// Transport does not convert 8-bit content, because that would break its
// signatures; see Transport.Send8Bit. A message that was declared SMTPUTF8 but
// does not need it goes to any host, with its domains as A-labels.
//
// Content should have CRLF line ends. All content that was received by SMTP has
// them. Such content is sent byte for byte. A bare LF is sent as CRLF and a
// bare CR as a space. So the host and this package find the line ends at the
// same places.
//
// # Held mail
//
// With Transport.RequestMail, a session that has just sent mail also requests the mail
// that the host holds for this relay, with ETRN.
//
// # Logs, counters and live sessions
//
// Transport.ProtocolLog gets every command and reply, without credentials and
// content. [Transport.Counters] returns statistics by stage and reply. While the
// relay runs, [Transport.Sessions] lists the sessions with their states,
// [Transport.Watch] shows their dialogue as it happens, and
// [Transport.EndSession] ends one of them without the risk of a duplicate: after
// the end of data, the session first waits for the reply.
//
// # Limits
//
// A reply has at most 256 lines, at most 4 KiB in a line, and at most 32 KiB in
// all. One timeout applies to the whole reply. An AUTH exchange has at most 16
// challenges. A host that exceeds these limits causes a *[ProtocolError], which
// ends the session. A TLS policy that is not met causes a *[TLSError]. Errors
// and logs contain no passwords and no tokens.
package smtpclient
