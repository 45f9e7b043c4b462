package smtpclient

import (
	"context"
	"errors"
	"time"

	"github.com/emersion/go-smtp"
)

// requestTime limits all requests of Transport.RequestMail in one session.
const requestTime = 30 * time.Second

// requestMail sends ETRN for each of Transport.RequestMail, once in a session, after
// the session has carried a message. First, Message.Progress gets the results that are
// known, so that no failure of the request can make a duplicate.
func (a *attempt) requestMail(c *Client) {
	t := a.t
	if len(t.RequestMail) == 0 || c.requested || c.carried == 0 || c.closed != nil {
		return
	}
	if _, offered := c.Extension("ETRN"); !offered {
		return
	}
	c.requested = true
	a.d.progress()
	ctx, cancel := context.WithTimeout(a.ctx, requestTime)
	defer cancel()
	c.bounds = bounds{} // those of the message
	for _, node := range t.RequestMail {
		_, err := c.Command(ctx, "ETRN "+node)
		if err != nil {
			t.log(c.cfg.Connector, "request of held mail failed", c.cfg.Host, c.addr, err)
		}
		var refused *smtp.SMTPError
		if err != nil && !errors.As(err, &refused) {
			return
		}
	}
}
