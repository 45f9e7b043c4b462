// Package milter lets mail filters check and change messages. It supports
// filters that use the milter protocol of sendmail, such as rspamd, opendkim
// and clamav-milter.
//
//	rspamd := &milter.Client{Address: "127.0.0.1:11332"}
//	if err := rspamd.Validate(); err != nil {
//		log.Fatal(err)
//	}
//	srv.Agents = append(srv.Agents, rspamd.Agent())
//
// The milter gets each event when it occurs: connection, HELO, MAIL, RCPT and
// DATA. It gets header and body at the end of data, with the changes of the
// agents before it. The parts of the message that the milter does not change
// stay byte for byte the same. A changed header field keeps its position.
//
// # When the milter is down
//
// If a milter cannot be reached, closes the connection, takes too long or
// violates the protocol, the client gets 451 4.7.1 and can try again later.
// With PassWhenDown, the message passes unfiltered instead. The log and the
// counters show both.
//
// # Implementation
//
// The protocol client is github.com/emersion/go-milter, for versions 2 to 6 of
// the protocol. This package adds the following:
//
//   - A deadline for each event, and one for header and body together. Progress
//     packets do not extend a deadline. The wait for a milter ends when the
//     context ends. The number of bytes that a milter may send before a
//     deadline is limited.
//   - A check of each packet before go-milter reads it. An invalid packet from
//     a broken or hostile milter causes a 451.
//   - The DATA event, which go-milter does not support. Some milters need it.
//   - Replies that go-milter treats as errors: SKIP, shutdown, connection
//     failure, a recipient with parameters, and a code without text. A milter
//     may use all replies of its protocol version.
//   - Code that applies the changes of the milter to the message.
//
// # Macros
//
// A milter gets the macros that sendmail sends by default:
//
//	connection  j _ {daemon_name} {if_name} {if_addr}, and v {client_addr} {client_name}
//	HELO        {tls_version} {cipher} {cipher_bits} {cert_subject} {cert_issuer}
//	MAIL        i {auth_type} {auth_authen} {auth_author} {mail_mailer} {mail_host} {mail_addr}, and those of HELO
//	RCPT        i {rcpt_mailer} {rcpt_host} {rcpt_addr}
//	end         i {msg_id}
//
// {auth_ssf} is not sent, because the server's SASL mechanisms have no security
// layer. {auth_type} is always SASL. {mail_mailer} and {rcpt_mailer} are always
// esmtp. {mail_host} and {rcpt_host} are the domain of the address, because the
// next hop is chosen later. A macro without a value is not sent, except
// {mail_host} and {rcpt_host}. A milter cannot request other macros.
//
// # Header indexes
//
// A milter changes and inserts header fields by index. The index counts the
// current fields, including those that the milter has added and without those
// that it has deleted, as in Postfix. For example, if a milter twice deletes the
// first of three fields with the same name, the third field remains. The server
// adds its own Received field later. The indexes 0 and 1 both insert before the
// first field.
//
// # Quarantine
//
// If the milter requests quarantine, the message is sent to Client.Quarantine
// after all other changes. X-Quarantine-Recipient fields name its recipients, and
// X-Quarantine-Reason has the reason.
//
// # Limits
//
// Milters get the recipients that were accepted. They do not get recipients that
// were refused, commands that the server does not know, or the parameters of
// MAIL and RCPT. Parameters of a recipient or sender that the milter sets are
// ignored. A milter gets the first 64 KiB of a header field, which is the limit
// of libmilter.
package milter
