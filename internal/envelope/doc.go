// Package envelope defines what a message has in common on its whole way: in package
// smtpserver, which receives it, in package queue, which stores it, and in package
// smtpclient, which sends it. These packages do not import each other. Each has
// aliases of the types of this package, and passes them on as a whole.
//
// So a new attribute of a message is added in three files:
//
//   - options.go defines it as a field of [Options], or of [RcptOptions] if it
//     belongs to a recipient. From then on, the attribute travels from the server
//     to the queue and from there to the client, and the stores in memory keep it.
//   - queue/spool/envelope.go encodes it in an extension of the record.
//   - The file that uses it: smtpserver/mailparams.go reads it from the MAIL
//     command, or smtpclient/envelope.go writes it.
//
// A new attribute of a result is a field of [Result] in result.go. It is encoded in
// queue/spool/envelope.go, and set and used where its meaning is known.
package envelope
