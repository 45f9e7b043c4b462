package oauth

import "regexp"

const noToken = "the response is not a bearer token; check the host of the token endpoint, and whether a proxy answers for it"

// entra is what to do about the errors of Microsoft Entra, by the number after AADSTS.
var entra = map[int]string{
	7000215: "the client secret is wrong. Configure the value of the secret, not its ID",
	7000222: "the client secret has expired. Create a new one in Entra (App registrations > Certificates & secrets) and replace it in the relay's settings",
	7000216: "the application needs a client secret or a certificate",
	7000218: "the application needs a client secret or a certificate",
	700016:  "the tenant does not have this application. Check the client ID and the tenant; the administrator must register the application in this tenant, or consent to it",
	7000112: "the application is disabled. The administrator must enable it in Entra (Enterprise applications > Properties > Enabled for users to sign-in)",
	7000229: "the tenant has no service principal for the application. The administrator must consent to it in this tenant",
	700027:  "the certificate is not registered for the application, or the signature is not of its key. Upload the certificate in Entra (App registrations > Certificates & secrets)",
	700024:  "the assertion is not valid now. Correct the clock of the relay's host",
	700023:  "the assertion is for another token endpoint. Check the tenant and the host of the token endpoint",
	700021:  "the assertion is for another application. Check the client ID",
	90002:   "the tenant does not exist. Check its ID or domain, and whether it is in a national cloud, which has another token endpoint",
	900023:  "the tenant is neither an ID nor a domain",
	9002313: "the request is not valid. Check the tenant, the client ID and the secret",
	500011:  "the tenant does not have the service that the token is for. Check that it has Exchange Online, and the scope",
	50034:   "the account does not exist in the tenant. Check the tenant and the name of the account",
	50001:   "the tenant does not have the service that the token is for. Check that it has Exchange Online, and the scope",
	50057:   "the account is disabled. The administrator must enable it",
	65001:   "the administrator has not consented. Grant the application permission SMTP.SendAsApp (for Graph: Mail.Send) in Entra (App registrations > API permissions > Grant admin consent)",
	650057:  "the application does not have a permission for this service. Add SMTP.SendAsApp of Office 365 Exchange Online (for Graph: Mail.Send), and grant admin consent",
	501051:  "the application is not assigned to a role. The administrator must grant the permission and consent to it",
	70011:   "the scope is not valid. With client credentials it must end with /.default",
	1002012: "the scope is not valid. With client credentials it must end with /.default",
	53003:   "a Conditional Access policy blocks the application. The administrator must exclude this workload identity, or allow the relay's address",
	530003:  "a Conditional Access policy requires a managed device. The administrator must exclude this workload identity",
	90033:   "Entra is temporarily unavailable; the relay tries again",
	90036:   "Entra is temporarily unavailable; the relay tries again",
	50196:   "Entra has received too many equal requests; the relay tries again",
}

// google is what to do about the errors of Google, by code and by a text of the
// description.
var google = []struct {
	code   string
	text   *regexp.Regexp
	advice string
}{
	{"unauthorized_client", regexp.MustCompile(`(?i)\bscopes?\b`),
		"the service account may not act for users. A Workspace administrator must add its client ID with the scope https://mail.google.com/ (Admin console > Security > API controls > Domain-wide delegation)"},
	{"invalid_grant", regexp.MustCompile(`(?i)invalid email|user id`),
		"the Workspace has no such user. Check the address of the mailbox"},
	{"invalid_grant", regexp.MustCompile(`(?i)short-lived|\biat\b|\bexp\b`),
		"the assertion is not valid now. Correct the clock of the relay's host"},
	{"invalid_grant", regexp.MustCompile(`(?i)signature`),
		"Google does not know the key. It was deleted or disabled: create a new key of the service account"},
	{"invalid_grant", regexp.MustCompile(`(?i)account not found|disabled|deleted`),
		"the service account does not exist or is disabled"},
}

// standard is what to do about the errors of RFC 6749, 5.2.
var standard = map[string]string{
	"invalid_client":          "the client ID, or its secret, certificate or key, is wrong or has expired",
	"unauthorized_client":     "the client may not get tokens in this way. The administrator must register the application and consent to its permissions (Microsoft: SMTP.SendAsApp), or delegate the scope to the service account (Google: https://mail.google.com/)",
	"invalid_grant":           "the assertion or the account is not valid. Check the account, the key and the clock of the relay's host",
	"invalid_scope":           "the scope is not valid, or was not granted",
	"invalid_request":         "the request is not valid. Check the tenant, the client ID and the secret",
	"unsupported_grant_type":  "the token endpoint does not support this grant. Check its host",
	"invalid_resource":        "the tenant does not have the service that the token is for. Check the scope",
	"access_denied":           "the administrator of the domain does not allow it",
	"admin_policy_enforced":   "a policy of the Workspace blocks the scope. The administrator must trust the service account (Security > API controls)",
	"org_internal":            "the application is limited to users of its own organization",
	"disabled_client":         "the service account is disabled. Enable it in the Cloud console",
	"deleted_client":          "the service account was deleted. Create another one",
	"interaction_required":    "a Conditional Access policy blocks the application. The administrator must exclude this workload identity",
	"consent_required":        "the administrator has not consented to the application's permissions",
	"temporarily_unavailable": "the fault is at the token endpoint; the relay tries again",
	"server_error":            "the fault is at the token endpoint; the relay tries again",
	"internal_failure":        "the fault is at the token endpoint; the relay tries again",
}
