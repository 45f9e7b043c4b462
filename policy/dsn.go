package policy

import (
	"context"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// mayUseDSN reports whether the client may ask for success reports.
func (j *relayChecker) mayUseDSN(ctx context.Context, s *smtpserver.Session) bool {
	return j.dsnForEveryone || known(ctx, s)
}

// known reports whether the client belongs to the organization: it has logged in, or
// may send to recipients outside the accepted domains.
func known(ctx context.Context, s *smtpserver.Session) bool {
	return s.Identity() != "" || RightsOf(ctx, s)&AcceptAnyRecipient != 0
}

// knownNow is known without a lookup in the DNS: it may miss the rights of a session
// for which they were not needed yet.
func knownNow(s *smtpserver.Session) bool {
	if s.Identity() != "" {
		return true
	}
	ip, _ := clientIP(s)
	st, _ := s.Value(sessionRightsKey{}).(*sessionRights)
	return st != nil && st.known && st.ip == ip && st.rights&AcceptAnyRecipient != 0
}

// offersDSN reports whether the server announces DSN to the client. A client
// that can authenticate may become known only after EHLO.
func (j *relayChecker) offersDSN(ctx context.Context, s *smtpserver.Session) bool {
	return s.AuthOffered() || j.mayUseDSN(ctx, s)
}

// withoutSuccess returns the values of NOTIFY without SUCCESS. If no other
// value is left, the sender wants neither failures nor delays to be reported,
// which is NEVER. An empty list would mean the default (RFC 3461, 4.1).
func withoutSuccess(notify []smtp.DSNNotify) []smtp.DSNNotify {
	var rest []smtp.DSNNotify
	for _, n := range notify {
		if n != smtp.DSNNotifySuccess {
			rest = append(rest, n)
		}
	}
	if len(notify) > 0 && len(rest) == 0 {
		rest = append(rest, smtp.DSNNotifyNever)
	}
	return rest
}
