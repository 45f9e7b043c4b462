// Package ntlm is NTLM for an SMTP client (MS-SMTPNTLM): "Integrated Windows
// authentication" to an Exchange server or to the SMTP service of Windows that
// accepts neither PLAIN, LOGIN nor GSSAPI. It is a module of its own, so that the
// main module does not require github.com/Azure/go-ntlmssp.
//
// Prefer another mechanism where the host offers one: NTLM does not authenticate
// the host, and Microsoft has deprecated it. There is no NTLM for servers. README.md
// lists what the library does not do.
package ntlm
