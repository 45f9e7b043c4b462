// Package gssapi is the SASL mechanism GSSAPI with Kerberos V5 (RFC 4752, RFC
// 4121) for an SMTP client: "Integrated Windows authentication" and single
// sign-on in a Kerberos realm, such as an Active Directory domain. It is a module
// of its own, so that the main module does not require
// github.com/jcmturner/gokrb5.
//
// The mechanism authenticates both sides. It has no security layer: the session
// must use TLS. The package smtpserver/gssapi is the server's side. README.md
// describes the settings and what the library does not do.
package gssapi
