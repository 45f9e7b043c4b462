// Package fromfield finds the author's domain in a message's From field
// (RFC 5322, 3.6.2), also where the field is written as real mail has it and
// not quite as the RFC wants it; what could be read in two ways is an error.
package fromfield
