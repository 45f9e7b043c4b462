// Package mimetree finds the parts of a MIME message and their offsets in the
// content. With the offsets, an agent can remove or change a part without changing
// other bytes. Package internal/header parses header fields and parameters.
//
// The package accepts messages that violate RFC 2045 and RFC 2046, because they
// are common: parameters without quotes, file names in three encodings, several
// fields where one is allowed. If programs may read different names from a part,
// Part.Names returns all of them. If they may read different parts or bytes,
// Part.Unclear returns the reason.
package mimetree
