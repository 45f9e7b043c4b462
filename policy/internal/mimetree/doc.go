// Package mimetree finds the parts of a MIME message where they stand: by
// their offsets in the content, so that an agent can take one out or add to
// one and leave every other byte alone.
//
// It reads what is on the wire, which is often not what RFC 2045 and RFC 2046
// have: parameters without quotes, names in three encodings, several fields
// where one is allowed. Where readers of mail may differ in what they see,
// Part.Names returns all readings.
package mimetree
