package graph

import (
	"net/http"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A verdict is what an answer means for the message.
type verdict int

const (
	refusal  verdict = iota // not sent
	accepted                // sent
	tooBig                  // not sent; another transport may send it
	unknown                 // it may have been sent
)

// judge judges an answer to sendMail.
func (a *attempt) judge(ans *answer) verdict {
	switch s := ans.status; {
	case ans.kind != network: // not sent, possibly after 429
		return refusal
	case s == http.StatusAccepted:
		return accepted
	case s == 0 && ans.sent:
		return unknown
	case s == http.StatusRequestEntityTooLarge:
		return tooBig
	case s/100 == 2, s == http.StatusRequestTimeout, s/100 == 5:
		// 200 is no success: some tenants answered it to large messages, and sent
		// nothing.
		return unknown
	}
	return refusal
}

// refused returns the result for a message that was not sent.
func (a *attempt) refused(ans *answer) queue.Result {
	hop := func(enhanced smtp.EnhancedCode, text string) queue.Result {
		r := a.hop(451, enhanced, text, ans.err)
		r.Host, r.Addr, r.TLS = ans.host, ans.addr, ans.tls
		return r
	}
	switch ans.kind {
	case forbidden:
		return local(ans.err)
	case noToken:
		return hop(smtp.EnhancedCode{4, 7, 0}, "No access token for Graph")
	case throttled:
		return hop(smtp.EnhancedCode{4, 3, 2}, "Graph limits the requests for this mailbox")
	}
	fail := func(enhanced smtp.EnhancedCode, text string) queue.Result {
		return ans.result(queue.Failure, 550, enhanced, text)
	}
	switch {
	case ans.status == 0:
		return ans.result(queue.Unreachable, 451, smtp.EnhancedCode{4, 4, 1}, "No connection to Graph")
	case ans.status == 400 && ans.code == "ErrorInvalidRecipients":
		return fail(smtp.EnhancedCode{5, 1, 3}, "Graph refuses the recipient's address: "+ans.code)
	case ans.status == 400:
		return fail(smtp.EnhancedCode{5, 6, 0}, "Graph refuses the message: status 400 "+ans.code)
	case ans.status == 401:
		return hop(smtp.EnhancedCode{4, 7, 0}, "Graph refuses the access token (401): it must be for "+a.t.endpoint.Host+", and not expired")
	case ans.status == 403 && ans.code == "ErrorSendAsDenied":
		return fail(smtp.EnhancedCode{5, 7, 60}, "The mailbox may not send as the address in From (403 "+ans.code+"): grant Send As, or use the mailbox's address")
	case ans.status == 403:
		return hop(smtp.EnhancedCode{4, 7, 0}, "Graph denies access (403 "+ans.code+
			"): the application needs the permission Mail.Send with admin consent, and must not be excluded from the mailbox")
	case ans.status == 404:
		return hop(smtp.EnhancedCode{4, 3, 5}, "Graph does not know the mailbox (404 "+ans.code+")")
	case ans.status == 429:
		return hop(smtp.EnhancedCode{4, 3, 2}, "Graph limits the requests for this mailbox (429)")
	}
	return hop(smtp.EnhancedCode{4, 3, 5}, "Graph answers with status "+http.StatusText(ans.status))
}
