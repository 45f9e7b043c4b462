// Package gss encodes and decodes the tokens that both sides of the SASL
// mechanism GSSAPI (RFC 4752) exchange with Kerberos V5 (RFC 4121): the frame of
// the tokens that make the context, and Wrap tokens without encryption. The
// nested modules smtpclient/gssapi and smtpserver/gssapi use it. It contains no
// cryptography: the caller provides a keyed checksum.
package gss
