// Package header reads the header section of a message (RFC 5322). It is the
// only reader of header fields in this project, so that no two parts of it read
// the same bytes differently. It does no I/O.
//
//   - [Scanner] and [Repairs] find where the header section ends.
//   - [Field], [All] and [Get] read its fields.
//   - [Hops] counts the hosts that the message has come through.
//   - [Comment], [Quoted] and [Unquote] read comments and quoted strings.
//   - [Addresses], [Authors] and [AuthorDomain] read the addresses of an address
//     field, in the current and in the obsolete syntax.
//   - [ParseParams] reads MIME parameters (RFC 2045, RFC 2231).
//
// # Where the header ends
//
// The header section ends at the first line that is not part of a field. A field
// begins with a name of printable ASCII characters and a colon; white space may
// stand between them (RFC 5322, 4.5). Lines that begin with a space or a tab
// continue the field before them. A name that is folded before its colon is not a
// field.
//
// Other programs may go on after such a line and find more fields. So the blank
// line that is missing there is inserted wherever a message is accepted, as
// Postfix does. Lines at the very start that begin with "From ", with or without
// ">" before it, come from a mailbox file. They become X-Mailbox-Line fields, as
// in Postfix, unless they are fields themselves ("From : a@example.org").
//
// All functions take time linear in the size of their input.
package header
