// Package smtpclient sends mail: the SMTP and LMTP send engine.
//
// [Transport] is to mail what http.Transport is to the web. It is safe for
// concurrent use; it dials a destination's hosts in their order, negotiates
// TLS as the policy asks, authenticates, keeps sessions for the next message,
// pipelines, and returns one typed [Result] for each recipient, with the
// peer's own words:
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
// It looks nothing up in the DNS: a [Destination] brings its hosts along
// (package routing finds them by MX, smart host and so on), with their TLSA
// records where DANE applies. MTA-STS and TLS reporting are in the packages
// mtasts and tlsrpt below this one, the verification of TLSA records in dane.
//
// [Client] is one conversation with one host, for programs that want to hold
// it themselves: a probe, a one-off submission, an ETRN. [Transport.Dial]
// opens one under a Transport's policies.
//
// # What becomes of a message
//
// A host's reply to the end of data decides. Before it, trouble with one host
// sends the message to the next (within MaxAddrs and MaxSessions); the result
// is of the last one that had something to say about the message. The codes
// are the host's own, where it spoke, and otherwise:
//
//	situation                                   outcome      enhanced  next host
//	------------------------------------------  -----------  --------  ---------
//	Hosts fails, with a 5xx                     Failure      its own
//	Hosts fails otherwise                       Unreachable  4.4.3
//	no host has an address                      Unreachable  4.4.4
//	no connection, or not in time               Unreachable  4.4.1     yes
//	connection refused, while there are         waits for a session with the host,
//	others with the host                        up to MaxWait; then 4.4.5, host's
//	greeting 4xx or 5xx                         Unreachable  host's    yes
//	greeting missing, late, not SMTP            Unreachable  4.4.2, 4.5.0  yes
//	EHLO 4xx; EHLO and HELO refused             Unreachable  host's    yes
//	TLS fails at TLSOpportunistic               old TLS, then plain text, on new connections
//	closed at STARTTLS, or 421, at              Unreachable  4.4.2, host's  yes
//	TLSOpportunistic                            (at the next attempt: plain text)
//	no STARTTLS where the policy asks for it    Unreachable  4.7.4     yes
//	TLS fails where the policy asks for it      Unreachable  4.7.5     yes
//	certificate, TLSA or MTA-STS do not fit     Unreachable  4.7.5     yes
//	AUTH refused, by all mechanisms that fit    Unreachable  host's    yes
//	AUTH not offered, no mechanism, no TLS,     Unreachable  4.7.4     yes
//	old TLS
//	530 to MAIL                                 Unreachable  host's    yes
//	address cannot stand on a command line      Failure      5.1.3, 5.1.7
//	larger than the host's SIZE                 Failure      5.3.4
//	8-bit content, host without 8BITMIME        Failure      5.6.3
//	binary content, host without BINARYMIME     Failure      5.6.3
//	SMTPUTF8 address or header, host without    Failure      5.6.7, 5.6.9
//	REQUIRETLS that the host cannot keep        Failure      5.7.30    yes
//	DELIVERBY return: overdue, host without     Failure      5.4.7, 5.3.3
//	MAIL, RCPT, DATA or end of data 5xx         Failure      host's
//	MAIL, RCPT, DATA or end of data 4xx, 421    Deferred     host's    yes
//	RCPT 452, or X.5.3, after others were       next transaction
//	accepted
//	RCPT or DATA 503 after another RCPT 4xx     Deferred     that 4xx  yes
//	RCPT 503 after other replies to RCPT        next transaction
//	DATA 503 to a batch of commands             once more on a new session, without PIPELINING
//	BDAT 500, 502, 503, 504                     once more on a new session, by DATA
//	closed or silent before the end of data     Deferred     4.4.2     yes
//	malformed or unexpected reply there         Deferred     4.5.0     yes
//	closed or silent after the end of data      Deferred     4.4.2     never
//	content cannot be read                      Deferred     4.3.0     never
//	the context ends                            Deferred     4.3.2     never
//	a kept session closed before it said a      tried again on a new session,
//	word, or said 421 to the first command      which costs no attempt
//	4xx or 5xx to MAIL, or to RSET, on a        tried again on a new session
//	session that has carried mail, unless it
//	is about an address, the size or the content
//
// Content is sent only after the host has accepted a recipient and asked for
// the content (354). A host, or a middlebox, that refuses the command before
// the content may read the content as commands. So all mail goes by DATA, in
// one batch with MAIL and RCPT where the host has PIPELINING; only what was
// declared BINARYMIME goes by BDAT. The first chunk of a session is then the
// message's first Received field (or, where it has none, one octet), and the
// rest waits until the host has taken it. Where a host does not take binary
// content, what is text goes by DATA.
//
// Recipients with the same address and parameters are sent once, and each has
// the result. Content without a final CRLF is sent with one.
//
// 8-bit content is not converted, since that would break its signatures; see
// Transport.Send8Bit. What was declared SMTPUTF8 but does not need it goes to
// any host, domains as A-labels. Content should have CRLF line ends, as all
// has that came in by SMTP, and then goes out byte for byte; a bare LF is made
// CRLF and a bare CR a space, so that no host sees a line end where we saw none.
//
// # Bounds
//
// A reply has at most 256 lines of 4 KiB and 32 KiB in all, and one deadline
// however slowly it drips; an AUTH exchange has at most 16 challenges. What
// exceeds them is a *[ProtocolError] and the end of the session. TLS policies
// that are not met are a *[TLSError]. Neither errors nor logs have secrets.
package smtpclient
