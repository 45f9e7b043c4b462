// Package milter lets mail filters that speak sendmail's milter protocol
// judge and change what a server receives: rspamd, opendkim, clamav-milter and
// all the others.
//
//	rspamd := &milter.Client{Address: "127.0.0.1:11332"}
//	if err := rspamd.Validate(); err != nil {
//		log.Fatal(err)
//	}
//	srv.Agents = append(srv.Agents, rspamd.Agent())
//
// The milter hears of each event as it comes (connection, HELO, MAIL, RCPT,
// DATA) and of header and body at the end of data, as the agents before it
// have left them. What it does not ask to be changed leaves byte for byte as
// it came; header fields are changed in their place.
//
// # When the milter is down
//
// A milter that cannot be reached, breaks off, takes too long or does not
// keep to the protocol costs the client a 451 4.7.1, and the message comes
// again later. PassWhenDown lets mail through unseen instead, and says so in
// the log and in the counters.
//
// # What speaks the protocol
//
// The client of github.com/emersion/go-milter does, in versions 2 to 6. This
// package adds what a relay needs around it:
//
//   - a deadline for each event, for header and body as a whole, and for the
//     context's end, which a milter's signs of progress do not put off, and a
//     bound to all that it may say until then;
//   - packets that are checked before go-milter sees them, so that a milter
//     that is broken or hostile costs a 451 and nothing else;
//   - DATA, of which go-milter knows nothing and at which some milters judge,
//     and the replies that it takes for errors: SKIP, shutdown, connection
//     failure, a recipient with parameters, a code without a text. Milters of
//     versions 2 to 5 may use what they know, too;
//   - the changes, made in the message at their place.
//
// # Macros
//
// A milter gets the macros that sendmail sends by default, with its event:
//
//	connection  j _ {daemon_name} {if_name} {if_addr}, and v {client_addr} {client_name}
//	HELO        {tls_version} {cipher} {cipher_bits} {cert_subject} {cert_issuer}
//	MAIL        i {auth_type} {auth_authen} {auth_author} {mail_mailer} {mail_host} {mail_addr}, and those of HELO
//	RCPT        i {rcpt_mailer} {rcpt_host} {rcpt_addr}
//	end         i {msg_id}
//
// {auth_ssf} is not sent, because the server's mechanisms have no security layer.
// {auth_type} is always SASL. The mailer is always esmtp, and the host the domain
// of the address: the route is chosen later. A macro without a value is left out,
// but for {mail_host} and {rcpt_host}. A milter cannot ask for other macros.
//
// # Header indexes
//
// A milter changes and inserts header fields by index. The index counts the
// fields that are there at that moment, without those that it has deleted and
// with those that it has added, as in Postfix. Deleting the first of three fields
// of a name twice leaves the third. The server's own Received field is not there
// yet; 0 and 1 both insert before the first field.
//
// # Quarantine
//
// A message that the milter wants quarantined goes to Client.Quarantine, and
// keeps its recipients in X-Quarantine-Recipient fields, after all changes that
// the milter makes. The reason is in X-Quarantine-Reason.
//
// # Limits
//
// Milters hear of recipients that were accepted, not of those that were
// refused, nor of commands that the server does not know. MAIL and RCPT come
// without their parameters, and those of a recipient or sender that the milter
// sets are left out. Of a header field they see the first 64 KiB: libmilter
// takes no more.
package milter
