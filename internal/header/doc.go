// Package header parses the header section of a message (RFC 5322). All packages
// of this project use it, so that all of them interpret the same bytes in the same
// way. It does no I/O except through readers that the caller passes.
//
//   - [Scanner] and [Repairs] find where the header section ends.
//   - [Field], [All] and [Get] read its fields.
//   - [Hops] counts the hosts that the message has passed.
//   - [Comment], [Quoted] and [Unquote] read comments and quoted strings.
//   - [Addresses], [Authors] and [AuthorDomain] parse address fields, in the
//     current and in the obsolete syntax.
//   - [ParseParams] parses MIME parameters (RFC 2045, RFC 2231).
//
// # Where the header ends
//
// The header section ends before the first line that is not part of a field. A
// field begins with a name of printable ASCII characters and a colon. White space
// is allowed between them (RFC 5322, 4.5). Lines that begin with a space or a tab
// continue the field before them. A name that is folded before its colon does not
// begin a field.
//
// Other programs may continue after such a line and find more fields. When a
// message is received, the missing blank line is therefore inserted there, as in
// Postfix. Lines at the start of a message that begin with "From " or ">From "
// come from a mailbox file. They become X-Mailbox-Line fields, as in Postfix,
// unless they are fields themselves ("From : a@example.org").
//
// All functions take time linear in the size of their input.
package header
