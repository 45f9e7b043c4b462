// Package gssapi is the SASL mechanism GSSAPI with Kerberos V5 (RFC 4752, RFC
// 4121) for an SMTP server: users of a Kerberos realm, such as an Active Directory
// domain, log in without a password ("Integrated Windows authentication", single
// sign-on). It is a module of its own, so that the main module does not require
// github.com/jcmturner/gokrb5.
//
// The mechanism has no security layer: it is offered over TLS only. The package
// smtpclient/gssapi is the client's side. README.md describes the settings and
// what the library does not do.
package gssapi
