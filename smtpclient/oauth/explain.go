package oauth

import (
	"regexp"

	"github.com/emersion/go-smtp"
)

// Explain returns what a refusal by Exchange Online or Gmail means, and what to do. It
// is empty for other replies. Use it for routing.ErrorPolicy.Explain: the text is then
// in the log, on the pages of the console and in the reports.
func Explain(reply *smtp.SMTPError) string {
	for _, x := range explanations {
		if (x.enhanced == smtp.EnhancedCode{} || x.enhanced == reply.EnhancedCode) && (x.code == 0 || x.code == reply.Code) &&
			(x.text == nil || x.text.MatchString(reply.Message)) {
			return x.meaning
		}
	}
	return ""
}

// An explanation is for replies that have all of its conditions that are set.
type explanation struct {
	code     int
	enhanced smtp.EnhancedCode
	text     *regexp.Regexp
	meaning  string
}

func like(text string) *regexp.Regexp { return regexp.MustCompile("(?i)" + text) }

// explanations are searched from the first to the last. Codes that other servers use
// with another meaning need a text too: 5.7.30 is also "REQUIRETLS support required"
// (RFC 8689).
var explanations = []explanation{
	{enhanced: smtp.EnhancedCode{5, 7, 30}, text: like("authentication"),
		meaning: "the tenant does not accept a password for sending by SMTP. Configure OAuth (client credentials with the permission SMTP.SendAsApp); " +
			"until it is removed, an administrator of the tenant can enable basic authentication for SMTP again"},
	{enhanced: smtp.EnhancedCode{5, 7, 68},
		meaning: "the tenant refuses mail for its own domains without a login (Direct Send). Configure an account with OAuth, " +
			"or an administrator of the tenant adds an inbound connector for the certificate or the address of this relay"},
	{enhanced: smtp.EnhancedCode{5, 7, 139}, text: like("disabled for the tenant"),
		meaning: "SMTP AUTH is disabled in the tenant. An administrator enables it for the mailbox: Set-CASMailbox MAILBOX -SmtpClientAuthenticationDisabled $false"},
	{enhanced: smtp.EnhancedCode{5, 7, 139}, text: like("disabled for the mailbox"),
		meaning: "SMTP AUTH is disabled for the mailbox. An administrator enables it: Set-CASMailbox MAILBOX -SmtpClientAuthenticationDisabled $false"},
	{enhanced: smtp.EnhancedCode{5, 7, 139}, text: like("security defaults"),
		meaning: "the security defaults of the tenant block the login. Configure OAuth or Graph; or an administrator replaces the security defaults by Conditional Access"},
	{enhanced: smtp.EnhancedCode{5, 7, 139}, text: like("basic auth"),
		meaning: "the tenant does not accept passwords. Configure OAuth (client credentials with the permission SMTP.SendAsApp)"},
	{enhanced: smtp.EnhancedCode{5, 7, 139}, text: like("conditional access|did not meet the criteria"),
		meaning: "a Conditional Access policy of the tenant blocks the login. An administrator allows it for this account and address"},
	{enhanced: smtp.EnhancedCode{5, 7, 139},
		meaning: "the login was refused: the password is wrong, the account is locked, or a policy of the tenant blocks passwords. Configure OAuth, or ask the administrator for the sign-in log of the account"},
	{enhanced: smtp.EnhancedCode{5, 7, 3}, text: like("authentication unsuccessful"),
		meaning: "the login was refused. With OAuth, the application needs the permission SMTP.SendAsApp with admin consent, must be registered by New-ServicePrincipal " +
			"with the object ID of the enterprise application, and needs FullAccess to the mailbox (Add-MailboxPermission); -SmtpClientAuthenticationDisabled must be $false for the mailbox"},
	{enhanced: smtp.EnhancedCode{5, 7, 57},
		meaning: "the relay must log in. Configure an account with OAuth"},
	{text: like(`SendAsDenied|does not have permissions? to send as this sender`),
		meaning: "the mailbox may not send with this sender. An administrator grants it: Add-RecipientPermission SENDER -Trustee MAILBOX -AccessRights SendAs; or use the mailbox itself as the sender"},
	{enhanced: smtp.EnhancedCode{5, 7, 64},
		meaning: "the tenant does not know this relay. An administrator adds an inbound connector for its certificate or its address, or corrects it"},
	{enhanced: smtp.EnhancedCode{5, 7, 708},
		meaning: "Exchange Online does not accept mail from this address because of its reputation. Send through an account with OAuth, or ask Microsoft support"},
	{enhanced: smtp.EnhancedCode{5, 7, 705}, text: like("threshold"),
		meaning: "the tenant has sent too much suspicious mail and is blocked. An administrator looks for compromised accounts and asks Microsoft support"},
	{enhanced: smtp.EnhancedCode{5, 7, 750},
		meaning: "the sender's domain is not registered in the tenant. An administrator adds it as an accepted domain"},
	{enhanced: smtp.EnhancedCode{5, 1, 8}, text: like("outbound sender"),
		meaning: "the mailbox is blocked from sending, because its mail looked like spam. An administrator releases it (Microsoft Defender > Restricted entities)"},
	{text: like("sender thread limit exceeded"),
		meaning: "a mailbox may have three sessions at a time. Allow fewer concurrent deliveries"},
	{text: like("application-specific password required"),
		meaning: "Google does not accept the password of an account with 2-step verification. Use an app password, or a service account (OAuth)"},
	{code: 534, enhanced: smtp.EnhancedCode{5, 7, 14},
		meaning: "Google requires a login in a web browser first. Use a service account (OAuth)"},
	{code: 535, enhanced: smtp.EnhancedCode{5, 7, 8}, text: like(`gsmtp|support\.google\.com`),
		meaning: "Google has refused the login. It accepts no password of an account: use a service account with domain-wide delegation (scope https://mail.google.com/), " +
			"and check that the mailbox exists and may use Gmail"},
	{enhanced: smtp.EnhancedCode{5, 7, 1}, text: like("invalid credentials for relay|mail relay denied"),
		meaning: "Google's SMTP relay does not know this relay. An administrator adds its address (Admin console > Gmail > Routing > SMTP relay service)"},
}
