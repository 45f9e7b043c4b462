package oauth

import (
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
)

func TestExplain(t *testing.T) {
	for _, tt := range []struct {
		code     int
		enhanced smtp.EnhancedCode
		text     string
		want     string
	}{
		{550, smtp.EnhancedCode{5, 7, 30}, "Basic authentication is not supported for Client Submission.", "does not accept a password"},
		{550, smtp.EnhancedCode{5, 7, 30}, "REQUIRETLS support required", ""},
		{550, smtp.EnhancedCode{5, 7, 68}, "TenantInboundAttribution; Direct Send not allowed for this organization from unauthorized sources", "Direct Send"},
		{535, smtp.EnhancedCode{5, 7, 139}, "Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit https://aka.ms/smtp_auth_disabled", "disabled in the tenant"},
		{535, smtp.EnhancedCode{5, 7, 139}, "Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox.", "disabled for the mailbox"},
		{535, smtp.EnhancedCode{5, 7, 139}, "Authentication unsuccessful, user is locked by your organization's security defaults policy.", "security defaults"},
		{535, smtp.EnhancedCode{5, 7, 139}, "Authentication unsuccessful, basic authentication is disabled.", "does not accept passwords"},
		{535, smtp.EnhancedCode{5, 7, 139}, "Authentication unsuccessful, the request did not meet the criteria to be authenticated successfully.", "Conditional Access"},
		{535, smtp.EnhancedCode{5, 7, 139}, "Authentication unsuccessful, the user credentials were incorrect.", "the password is wrong"},
		{535, smtp.EnhancedCode{5, 7, 3}, "Authentication unsuccessful", "SMTP.SendAsApp"},
		{535, smtp.EnhancedCode{5, 7, 3}, "no", ""},
		{530, smtp.EnhancedCode{5, 7, 57}, "Client not authenticated to send mail.", "must log in"},
		{554, smtp.EnhancedCode{5, 2, 252}, "SendAsDenied; relay@example.com not allowed to send as ups@example.com", "SendAs"},
		{550, smtp.EnhancedCode{5, 7, 60}, "SMTP; Client does not have permissions to send as this sender", "SendAs"},
		{550, smtp.EnhancedCode{5, 7, 64}, "TenantAttribution; Relay Access Denied", "inbound connector"},
		{432, smtp.EnhancedCode{4, 3, 2}, "STOREDRV.ClientSubmit; sender thread limit exceeded", "three sessions"},
		{535, smtp.EnhancedCode{5, 7, 8}, "Username and Password not accepted. For more information, go to https://support.google.com/mail/?p=BadCredentials x.1 - gsmtp", "service account"},
		{535, smtp.EnhancedCode{5, 7, 8}, "Authentication credentials invalid", ""},
		{534, smtp.EnhancedCode{5, 7, 9}, "Application-specific password required.", "app password"},
		{550, smtp.EnhancedCode{5, 7, 1}, "Invalid credentials for relay [192.0.2.1].", "SMTP relay service"},
		{550, smtp.EnhancedCode{5, 7, 1}, "Unable to relay", ""},
		{550, smtp.EnhancedCode{5, 1, 1}, "No such user", ""},
	} {
		got := Explain(&smtp.SMTPError{Code: tt.code, EnhancedCode: tt.enhanced, Message: tt.text})
		if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) || strings.ContainsAny(got, "\r\n[]") {
			t.Errorf("%d %v %s: %q, want %q", tt.code, tt.enhanced, tt.text, got, tt.want)
		}
	}
}
