// Package oauth gets access tokens for a relay that has no user: with the client
// credentials of an application of Microsoft Entra (RFC 6749, 4.4), or with the key
// of a service account of Google (RFC 7523). No browser, no refresh token and no other
// program is necessary.
//
//	app := oauth.Microsoft{Tenant: "example.com", ClientID: id, Secret: secret}
//	source, err := app.Source()
//	...
//	connector.Auth = &oauth.Auth{Username: "relay@example.com", Source: source}
//
// A [Source] keeps its token. It gets the next one before the token expires, with one
// request for all sessions. [Auth] sends a token only over TLS 1.2 or later, to a host
// that has proved its name. [Source.Token] has the signature that smtpclient.TokenAuth
// and HTTP clients need.
//
// # What an administrator must grant
//
// Microsoft 365, SMTP: register an application in Entra, with a client secret or a
// certificate. Give it the application permission SMTP.SendAsApp of "Office 365
// Exchange Online", and consent to it. Then, in Exchange Online PowerShell:
//
//	New-ServicePrincipal -AppId CLIENT-ID -ObjectId OBJECT-ID-OF-THE-ENTERPRISE-APPLICATION
//	Add-MailboxPermission -Identity relay@example.com -User OBJECT-ID -AccessRights FullAccess
//	Set-CASMailbox relay@example.com -SmtpClientAuthenticationDisabled $false
//
// Google Workspace: create a service account with a key in JSON. In the Admin console,
// at Security > API controls > Domain-wide delegation, add its client ID with the scope
// https://mail.google.com/.
//
// # Errors
//
// Token returns an [*Error]. It says what to grant or to correct. It has codes of the
// response, but never its text, because that may contain the assertion or the names of
// users. [Explain] says the same about a refusal of the SMTP server.
//
// The package is a separate module, so that programs without OAuth do not have its
// dependencies.
package oauth
