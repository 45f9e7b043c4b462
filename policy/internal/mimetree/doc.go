// Package mimetree finds the parts of a MIME message by their offsets in the
// content, so that an agent can remove one or add to one and leave every other
// byte alone. Header fields and parameters are read by internal/header.
//
// It reads what is on the wire, which is often not what RFC 2045 and RFC 2046
// specify: parameters without quotes, names in three encodings, several fields
// where one is allowed. If programs may see different names in a part, Part.Names
// returns all of them. If they may see different parts or bytes, Part.Unclear says
// so.
package mimetree
